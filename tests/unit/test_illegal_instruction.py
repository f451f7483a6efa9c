"""What the verdict makes of an illegal instruction. The run is the recorded one of onnxruntime 1.21.0 on a Pi 4."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import rundir
from sandbox.analysis import analyse
from sandbox.result import Result
from tests.record_runs import RUNS

RUN = RUNS / "illegal_instruction"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Result]:
    """The result of the run with another instruction or another record."""

    def result(*, record: dict[str, Any] | None = None, **instruction: Any) -> Result:
        folder = Path(shutil.copytree(RUN, tmp_path / "run"))
        found = rundir.read_fault(folder / "latency")
        assert found is not None
        rundir.write_fault(folder / "latency", found.model_copy(update=instruction))
        kept = rundir.read_record(folder)
        rundir.write_record(
            folder, kept.model_copy(update={k: kept_part(kept, k, v) for k, v in (record or {}).items()})
        )
        return analyse(folder)

    def kept_part(kept: Any, name: str, changes: dict[str, Any]) -> Any:
        return getattr(kept, name).model_copy(update=changes)

    return result


def test_everything_that_is_known_is_said() -> None:
    found = analyse(RUN)
    assert found.illegal_instruction is not None
    assert found.illegal_instruction.needs == "asimdhp"
    assert found.illegal_instruction.file.startswith("onnxruntime_pybind11_state")
    (reason,) = found.verdict.reasons
    assert reason == (
        f"cpu: illegal instruction during import: fmov v1.4h, #0.50000000 (0f03fc01) at "
        f"{found.illegal_instruction.address}, {found.illegal_instruction.file} at 0xb28f4 needs asimdhp (half "
        f"precision), which cortex-a72 lacks"
    )
    assert found.verdict.fix == (
        "use onnxruntime 1.20.1 or 1.22.0, which run without asimdhp: see "
        "https://github.com/microsoft/onnxruntime/issues/23957"
    )


def test_a_function_with_a_name(changed: Callable[..., Result]) -> None:
    (reason,) = changed(function="MlasHalfGemm").verdict.reasons
    assert ", MlasHalfGemm in onnxruntime_pybind11_state" in reason


def test_another_version_is_not_known(changed: Callable[..., Result]) -> None:
    found = changed(record={"runtime": {"version": "1.21.1"}})
    assert (
        found.verdict.fix
        == "use a runtime version built for this core: try the one before, with --runtime name@version"
    )
    assert "needs asimdhp" in found.verdict.reasons[0]


def test_what_the_device_has_and_the_emulator_has_not_is_no_verdict(changed: Callable[..., Result]) -> None:
    """A 32-bit system on a 64-bit board runs as a Cortex-A15."""
    found = changed(needs="crc32")
    assert found.verdict.status == "unknown"
    assert any(
        "needs crc32; the device has that, the emulator's core has not" in text for text in found.verdict.reasons
    )
    assert "cortex-a72 of the emulator is an older core" in " ".join(check.fix or "" for check in found.checks)


def test_an_instruction_that_no_table_knows(changed: Callable[..., Result]) -> None:
    (reason,) = changed(needs=None, instruction="unknown").verdict.reasons
    assert "unknown (0f03fc01) at 0x" in reason
    assert reason.endswith("; cortex-a72 does not know it")


def test_records_without_features_name_the_emulated_core(changed: Callable[..., Result]) -> None:
    assert (
        changed(record={"device": {"features": ()}}).verdict.reasons[0].endswith("which the emulated cortex-a72 lacks")
    )


def test_a_trap_is_the_program_s_own_doing(changed: Callable[..., Result]) -> None:
    found = changed(needs=None, instruction="udf #0", encoding="00000000", trap=True)
    assert found.verdict.reasons[0].startswith("run: it stopped itself during import: udf #0 (00000000) at ")
    assert {check.id: check.status for check in found.checks}["cpu"] == "unknown"


def test_without_a_record_the_signal_is_all_there_is(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RUN, tmp_path / "run"))
    (folder / "latency" / rundir.ILLEGAL_INSTRUCTION).unlink()
    found = analyse(folder)
    assert found.illegal_instruction is None
    assert found.verdict.reasons == ("cpu: illegal instruction during import (signal 4, SIGILL)",)
