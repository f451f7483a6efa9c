"""A measurement that no fit can come of is refused before anything is counted, with what is wrong about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import DataFileError, SandboxError
from sandbox.measurement import SUITE, Measurement
from sandbox.model_counts import CountSet, read_counts
from sandbox.own_fit import OwnCounts, fit_own, require
from tests.unit.test_measurement import measurement

PROJECT = Path(__file__).parents[2]
COUNTS = read_counts(PROJECT / "calibration/counts/cortex-a72-tflite-runtime-2.14.0-xnnpack-1t.json")
MODELS = tuple(row.model for row in COUNTS.models if row.model.startswith(("mobilenet_v1", "mobilenet_v2")))


def suite(*models: str, dtype: str = "fp32", **changes: Any) -> Measurement:
    """The measurement of a board that takes a nanosecond for each instruction."""
    (timing,) = measurement().timings
    seconds = {row.model: row.instructions * 1e-9 for row in COUNTS.models}
    timings = tuple(
        timing.model_copy(update={"model": name, "dtype": dtype, "samples": (seconds.get(name, 0.01),) * 5})
        for name in models or SUITE
    )
    return measurement().model_copy(update={"timings": timings, **changes})


def test_the_whole_suite_can_be_fitted() -> None:
    assert require(suite(), "rpi4b") == ("fp32",)
    both = suite().model_copy(update={"timings": (*suite().timings, *suite(dtype="int8").timings)})
    assert require(both, "rpi4b") == ("fp32", "int8")


@pytest.mark.parametrize(
    ("measured", "device", "problem"),
    [
        (suite().model_copy(update={"timings": ()}), "rpi4b", "nothing was timed"),
        (suite("bert_large"), "rpi4b", "not known: bert_large"),
        (suite("../../etc/passwd"), "rpi4b", "not known: ../../etc/passwd"),
        (suite("mobilenet_v1_9.0_64000"), "rpi4b", "not known"),
        (suite(*SUITE, SUITE[0]), "rpi4b", f"{SUITE[0]} fp32 twice"),
        (suite(*SUITE[:2]), "rpi4b", "2 fp32 models for 2 numbers"),
        (suite(*SUITE[:3], threads=4), "rpi4b", "3 fp32 models for 3 numbers"),
        (suite(), "rpi5", "is of rpi4b, not of rpi5"),
        (suite(device="rpi5"), "rpi5", "is of a cortex-a72 in Broadcom BCM2711, and rpi5 is a cortex-a76"),
        (suite(soc="another"), "rpi4b", "is of a cortex-a72 in another"),
        (suite(runtime="../x"), "rpi4b", "the measurement: runtime: "),
        (suite(runtime_version="2.14.0+mine"), "rpi4b", "the measurement: runtime: "),
        (suite(device="none"), "none", "unknown device 'none'"),
    ],
)
def test_what_no_fit_can_come_of_is_refused(measured: Measurement, device: str, problem: str) -> None:
    with pytest.raises(SandboxError) as caught:
        require(measured, device)
    assert problem in caught.value.message
    assert caught.value.hint


def test_a_spec_of_one_s_own_may_have_any_plain_name(tmp_path: Path) -> None:
    text = (PROJECT / "device_specs/rpi4b.toml").read_text()
    for name, serves in (("My_board.v2", True), ("my board", False)):
        spec = tmp_path / f"{name}.toml"
        spec.write_text(text)
        if serves:
            assert require(suite(device=name), str(spec)) == ("fp32",)
        else:
            with pytest.raises(DataFileError, match=r"my board/.* names no calibration"):
                require(suite(device=name), str(spec))


def test_a_fit_of_one_s_own_is_the_same_bytes_and_carries_its_doubts() -> None:
    measured = suite(*MODELS)
    (first, *rest) = measured.timings
    hot = first.model_copy(update={"after": first.after.model_copy(update={"throttled": True})})
    own = OwnCounts(counts=CountSet.model_validate(COUNTS.model_dump()), library="xnnpack")
    made = fit_own(measured, own, "rpi4b", "fp32")
    assert made == fit_own(measured, own, "rpi4b", "fp32")
    assert (made.id, made.notes) == ("rpi4b/tflite-runtime-2.14.0-xnnpack-fp32-1t", ())
    assert made.evidence is not None
    assert made.evidence.leave_one_family_out is not None
    throttled = fit_own(measured.model_copy(update={"timings": (hot, *rest)}), own, "rpi4b", "fp32")
    assert throttled.notes == ("the firmware throttled the clock or the supply was too low",)
    assert throttled.cycles_per_slot == made.cycles_per_slot
