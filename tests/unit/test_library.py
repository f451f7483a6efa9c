"""What programs and notebooks call, on recorded runs."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

import sandbox
from sandbox import kept, profile
from sandbox.engines.guard import Guard
from sandbox.errors import DataFileError, UsageError
from sandbox.library import compare
from sandbox.plan import ProfileRequest
from sandbox.result import Result
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


def test_options_reach_the_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[ProfileRequest] = []

    def remember(request: ProfileRequest, *_more: object, **_options: object) -> Result:
        asked.append(request)
        return result("ready")

    monkeypatch.setattr(kept, "profile", remember)
    monkeypatch.setattr("sandbox.library.guard", lambda: contextlib.nullcontext(Guard(io.BytesIO())))
    profile(
        *(MODEL, "rpi4b"),
        reserve="64M", swap=True, seed=3, delegates=False, caches=True, calibration="mine.json",
        run_dir=tmp_path / "run",
    )  # fmt: skip
    (request,) = asked
    assert request.calibration == Path("mine.json")
    assert (request.reserve_bytes, request.swap, request.seed) == (64 << 20, True, 3)
    assert (request.delegates, request.caches) == (False, True)


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sandbox.library.guard", lambda: contextlib.nullcontext(Guard(io.BytesIO())))
    with pytest.raises(UsageError, match="Not a directory"):
        profile(MODEL, "rpi4b", run_dir=tmp_path / "file" / "run")


def test_the_package_offers_nothing_else() -> None:
    assert sandbox.__all__ == ["profile"]
    with pytest.raises(AttributeError, match="has no attribute 'profiles'"):
        _ = sandbox.profiles  # type: ignore[attr-defined]
