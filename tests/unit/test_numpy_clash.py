"""Which NumPy is too old or too new. Texts as tflite-runtime 2.13.0 and 2.14.0 wrote them."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import rundir
from sandbox.engines.base import Outcome
from sandbox.numpy_clash import explain
from sandbox.verdict import Failure
from tests.record_runs import RUNS

RECORD = rundir.read_record(RUNS / "ready")
FAILURE = Failure(
    check="abi", reason="SystemError during load: no interpreter", fix="install numpy<2 beside this runtime"
)


def outcome(stderr: str) -> Outcome:
    return Outcome(
        exit_code=1, limit_mechanism="none", isolation="bubblewrap", emulator="QEMU", seconds=1.0, stderr=stderr
    )


def explained(stderr: str, cause: str = "", numpy: str | None = None) -> Failure:
    report: dict[str, Any] = {"error": {"cause": cause}, "runtime": {"numpy": numpy}}
    found = explain(FAILURE, outcome(stderr), report, RECORD)
    assert found is not None
    return found


def test_the_build_is_for_numpy_1() -> None:
    found = explained("", "AttributeError: _ARRAY_API not found", "2.1.0")
    assert found.reason == (
        "tflite-runtime 2.14.0 was compiled for NumPy 1, and finds NumPy 2.1.0: SystemError during load: no interpreter"
    )
    assert found.fix == FAILURE.fix


@pytest.mark.parametrize(("wanted", "first"), [("0xe", "NumPy 1.20"), ("0x10", "NumPy 1.23"), ("0x12", "NumPy 2.0")])
def test_the_build_is_for_a_newer_one(wanted: str, first: str) -> None:
    said = f"RuntimeError: module compiled against API version {wanted} but this version of numpy is 0xd"
    found = explained(said, "ImportError: numpy.core.multiarray failed to import", "1.19.5")
    assert "was compiled for a newer NumPy than the image has (NumPy 1.19.5)" in found.reason
    assert found.fix == f"install {first} or newer beside it, or use an older version of tflite-runtime"


def test_a_version_that_no_table_knows() -> None:
    found = explained("compiled against API version 0xfe but this version of numpy is 0x14")
    assert found.fix is not None
    assert found.fix.startswith("install a newer NumPy beside it")
    assert "a newer NumPy than the image has: SystemError" in found.reason


@pytest.mark.parametrize("stderr", ["", "version `GLIBC_2.33' not found", "compiled against API version 0xd but this "])
def test_other_failures_stay(stderr: str) -> None:
    assert explained(stderr) == FAILURE


def test_other_checks_stay() -> None:
    other = Failure(check="operators", reason="no such operator")
    assert explain(other, outcome("_ARRAY_API not found"), None, RECORD) is other
    assert explain(None, outcome(""), None, RECORD) is None


def test_an_import_that_says_nothing() -> None:
    """onnxruntime 1.18 beside NumPy 1.19: the words are on stderr only."""
    silent = Failure(check="run", reason="ImportError during import: ImportError")
    said = "RuntimeError: module compiled against API version 0xe but this version of numpy is 0xd"
    found = explain(silent, outcome(said), {"runtime": {"numpy": "1.19.5"}}, RECORD)
    assert found is not None
    assert found.check == "abi"
    assert found.fix == "install NumPy 1.20 or newer beside it, or use an older version of tflite-runtime"
    assert explain(silent, outcome(""), None, RECORD) == silent
