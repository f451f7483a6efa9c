"""Peak against the memory that the device has."""

from __future__ import annotations

import pytest

from sandbox.engines.base import MemoryTrace, Outcome
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import Check, CheckStatus
from sandbox.verdict import Failure, limit_kept, memory_check


def size(value: float, high: float | None = None) -> Metric:
    return Metric(value=value, unit="byte", mode="emulated", high=high)


KILOBYTE = size(1000)


def fits(
    peak: Quantity, available: Quantity = KILOBYTE, failure: Failure | None = None, *, enforced: bool = False
) -> Check:
    return memory_check(peak, available, 2000, failure, limit_source="the whole RAM", enforced=enforced)


@pytest.mark.parametrize(
    ("peak", "status", "reason"),
    [
        (size(1), "pass", "peak 1 B of 1.00 kB: 100% left"),
        (size(899), "pass", "peak 899 B of 1.00 kB: 10% left"),
        (size(901), "warn", "peak 901 B of 1.00 kB: 10% left"),
        (size(1000), "warn", "peak 1.00 kB of 1.00 kB: 0% left"),
        (size(1001), "fail", "peak 1.00 kB of 1.00 kB"),
        (size(100, high=950), "warn", "peak 950 B of 1.00 kB: 5% left"),
        (size(100, high=1200), "fail", "peak 1.20 kB of 1.00 kB"),
        (size(0, high=0), "pass", "peak 0 B of 1.00 kB: 100% left"),
    ],
)
def test_memory(peak: Metric, status: CheckStatus, reason: str) -> None:
    check = fits(peak)
    assert (check.id, check.status, check.reason) == ("memory", status, reason)
    assert (check.value, check.limit) == (peak, KILOBYTE)
    assert bool(check.fix) == (status != "pass")


def test_what_lived_through_a_limit_that_the_kernel_kept_fits_if_only_just() -> None:
    check = fits(size(1200), enforced=True)
    assert (check.status, check.reason) == (
        "warn",
        "peak 1.20 kB of 1.00 kB: it lived only because the kernel can drop pages of files",
    )
    assert check.fix == "leave at least a tenth free: other programs on the device need memory too"
    assert fits(size(950), enforced=True).reason == "peak 950 B of 1.00 kB: 5% left"
    assert fits(size(100), enforced=True).status == "pass"


def test_memory_of_which_a_tenth_is_left_exactly() -> None:
    """900 of 1000, which in binary fractions is a hair less than a tenth: either answer is right, an error is not."""
    assert fits(size(900)).status in {"pass", "warn"}


def test_memory_where_the_available_is_not_known() -> None:
    """The whole RAM is the limit then, and the reason says so."""
    check = fits(size(100), Unavailable(unavailable="no source"))
    assert (check.status, check.reason) == ("pass", "peak 100 B of 2.00 kB, the whole RAM: 95% left")
    assert check.limit == Metric(value=2000, unit="byte", mode="predicted", source="the whole RAM")
    assert fits(size(2001), Unavailable(unavailable="no source")).status == "fail"


def test_memory_where_the_peak_is_not_known() -> None:
    check = fits(Unavailable(unavailable="no cgroup"))
    assert (check.status, check.reason) == ("unknown", "no cgroup")


def test_memory_of_a_run_that_failed() -> None:
    out = Failure(check="memory", reason="out of memory", fix="more")
    check = fits(Unavailable(unavailable="no cgroup"), failure=out)
    assert (check.status, check.reason, check.fix) == ("fail", "out of memory", "more")
    assert fits(size(1), failure=out).status == "fail"
    early = fits(size(123), failure=Failure(check="cpu", reason="SIGILL"))
    assert (early.status, early.reason, early.fix) == ("unknown", "the run ended early, at 123 B", None)


def test_memory_of_a_device_with_none() -> None:
    assert fits(size(5), size(0)).status == "fail"


@pytest.mark.parametrize(
    ("mechanism", "own", "high", "kept"),
    [
        ("cgroup v2", 9999, 9999, True),
        ("none", 100, 100, False),
        ("watchdog", 1000, 2500, True),
        ("watchdog", 1001, 2500, False),
        ("watchdog", 900, 2501, False),
        ("watchdog", None, 2500, False),
        ("watchdog", 900, None, False),
    ],
)
def test_a_watchdog_kept_the_limit_where_its_readings_say_so(
    mechanism: str, own: int | None, high: int | None, kept: bool
) -> None:
    memory = MemoryTrace(guest_own_bytes=own, guest_peak_high_bytes=high, guest_files_bytes=1500)
    outcome = Outcome(
        exit_code=0, limit_mechanism=mechanism, isolation="bubblewrap", emulator=None, seconds=1.0, memory=memory
    )
    assert limit_kept(outcome, 1000) is kept
