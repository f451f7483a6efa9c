"""What programs and notebooks call, on recorded runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import sandbox
from sandbox import profile
from sandbox.errors import DataFileError, UsageError
from sandbox.library import compare
from tests.record_runs import PROJECT, RUNS
from tests.unit.recorded import result

MODEL = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"


def test_profile_gives_the_result_document() -> None:
    found = profile(MODEL, "rpi4b", engine="replay", run_dir=RUNS / "ready")
    assert found == result("ready")
    assert len(found.ops_frame()) == len(found.ops)


def test_errors_are_the_tool_s() -> None:
    with pytest.raises(UsageError, match='engine="replay" needs a recorded run'):
        profile(MODEL, "rpi4b", engine="replay")
    with pytest.raises(DataFileError, match="recorded for another device"):
        profile(str(MODEL), "rpi5", engine="replay", run_dir=str(RUNS / "ready"))
    with pytest.raises(UsageError, match="not a size"):
        profile(MODEL, "rpi4b", memory="much")
    with pytest.raises(UsageError, match="nothing to compare"):
        compare([MODEL], [])


@pytest.mark.subprocess
def test_right_outputs_are_read_before_anything_runs(tmp_path: Path) -> None:
    text = tmp_path / "right.npz"
    text.write_text("no arrays")
    with pytest.raises(UsageError, match=r"not a readable \.npz file"):
        profile(MODEL, "rpi4b", parity_reference=text, run_dir=tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def test_the_package_offers_nothing_else() -> None:
    assert sandbox.__all__ == ["profile"]
    with pytest.raises(AttributeError, match="has no attribute 'profiles'"):
        _ = sandbox.profiles  # type: ignore[attr-defined]
