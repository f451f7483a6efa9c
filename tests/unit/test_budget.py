"""What the guest may use of the device's memory: asked for, left, kept back, swap."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.budget import budget
from sandbox.device import load_device, select_os
from sandbox.errors import UsageError
from sandbox.metrics import Metric, Unavailable

SPECS = Path(__file__).parents[2] / "device_specs"
DEVICE = load_device("rpi4b", SPECS)
OS = select_os(DEVICE, None)


def test_asked_for() -> None:
    found = budget(DEVICE, OS, 123_456_789)
    assert (found.limit_bytes, found.source) == (123_456_789, "--memory")
    assert isinstance(found.available, Metric)
    assert found.available.value == 123_456_789


def test_what_the_device_leaves() -> None:
    os = OS.model_copy(update={"mem_total_bytes": 900_000_000, "os_used_bytes": 100_000_000})
    found = budget(DEVICE, os, None)
    assert found.limit_bytes == 800_000_000
    assert isinstance(found.available, Metric)
    assert found.available.mode == "measured"
    assert found.source == found.available.source
    assert "MemTotal 900 MB less 100 MB that an idle" in found.source


def test_the_whole_ram_where_nothing_better_is_known() -> None:
    os = OS.model_copy(update={"os_used_bytes": None})
    device = DEVICE.model_copy(update={"ram_bytes": 2**30})
    found = budget(device, os, None)
    assert found.limit_bytes == 2**30
    assert found.source == "the whole RAM of 1.07 GB, for what the system keeps of it is not known"
    assert isinstance(found.available, Unavailable)
    assert "os_used_bytes" in found.available.unavailable


def test_what_is_kept_back_for_others() -> None:
    os = OS.model_copy(update={"mem_total_bytes": 900_000_000, "os_used_bytes": 100_000_000})
    for memory in (None, 800_000_000):
        found = budget(DEVICE, os, memory, 300_000_000)
        assert isinstance(found.available, Metric)
        assert found.limit_bytes == found.available.value == 500_000_000
        assert found.source.endswith(", less --reserve 300 MB")


@pytest.mark.parametrize("memory", [200_000_000, 100_000_000])
def test_nothing_left(memory: int) -> None:
    with pytest.raises(UsageError, match="leaves nothing of"):
        budget(DEVICE, OS, memory, 200_000_000)


def test_kept_back_of_an_unknown_whole() -> None:
    found = budget(DEVICE, OS.model_copy(update={"os_used_bytes": None}), None, 1 << 20)
    assert found.limit_bytes == DEVICE.ram_bytes - (1 << 20)
    assert isinstance(found.available, Unavailable)


def test_swap_is_added_when_asked_for() -> None:
    assert OS.swap_bytes == 100 << 20
    os = OS.model_copy(update={"mem_total_bytes": 900_000_000, "os_used_bytes": 100_000_000})
    found = budget(DEVICE, os, None, 300_000_000, swap=True)
    assert isinstance(found.available, Metric)
    assert found.limit_bytes == found.available.value == 500_000_000 + (100 << 20)
    assert found.swap_bytes == 100 << 20
    assert found.source.endswith(", less --reserve 300 MB, and 105 MB of swap")
    assert budget(DEVICE, os, None).swap_bytes == 0


def test_zram_adds_nothing_that_is_known() -> None:
    os = select_os(DEVICE, "trixie-arm64")
    assert os.zram_bytes == 2 << 30
    assert budget(DEVICE, os, None, swap=True) == budget(DEVICE, os, None)


def test_a_device_without_known_swap() -> None:
    os = OS.model_copy(update={"swap_bytes": None})
    with pytest.raises(UsageError, match="gives no swap_bytes and no zram_bytes for bookworm-arm64"):
        budget(DEVICE, os, None, swap=True)
