"""Findings → checks, before a run and after it."""

from __future__ import annotations

import pytest

from sandbox.analysis import analyse
from sandbox.check import CheckRequest, check
from sandbox.compatibility_checks import reached_check, static_checks, with_run
from sandbox.compatibility_result import AbiFinding, Compatibility, CpuFinding, RecordedLoad
from sandbox.measurements import ReachedCode
from sandbox.result import Check
from tests.record_runs import PROJECT, RUNS

EXAMPLE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"


@pytest.fixture(scope="module")
def found() -> Compatibility:
    compatibility = check(CheckRequest(model=EXAMPLE, device="rpi4b")).compatibility
    assert compatibility is not None
    return compatibility


def checks(found: Compatibility, **changes: object) -> dict[str, Check]:
    return {each.id: each for each in static_checks(found.model_copy(update=changes))}


def test_a_build_without_gaps(found: Compatibility) -> None:
    assert {each.status for each in checks(found).values()} == {"pass"}


def test_needs_that_are_not_met_are_named(found: Compatibility) -> None:
    needs = tuple(
        AbiFinding(file="a/b.so", need=f"GLIBC_2.{n}", has="2.31", status="fail", reason=f"no 2.{n}") for n in range(5)
    )
    failed = checks(found, abi=needs)["abi"]
    assert failed.status == "fail"
    assert failed.reason == "b.so: no 2.0; b.so: no 2.1; b.so: no 2.2; and 2 more"
    assert failed.fix
    unread = checks(found, abi=(), abi_unavailable="not read", cpu_unavailable="not read")
    assert [unread[name].status for name in ("abi", "cpu")] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("outcome", "check_id"), [("illegal instruction", "cpu"), ("failed", "abi")], ids=["signal", "import"]
)
def test_a_load_that_failed_is_a_verdict(found: Compatibility, outcome: str, check_id: str) -> None:
    load = RecordedLoad.model_validate({"emulated_cpu": "cortex-a72", "outcome": outcome, "detail": "in import"})
    failed = checks(found, load=load)
    assert [each.id for each in failed.values() if each.status == "fail"] == [check_id]
    assert "cortex-a72" in failed[check_id].reason


def crypto(status: str = "present") -> CpuFinding:
    return CpuFinding.model_validate(
        {
            "feature": "aes", "instruction": "AESE", "symbol": None, "library": "tflite_runtime/x.so", "count": 3,
            "reached": None, "status": status, "reason": "there",
        }
    )  # fmt: skip


def reached(path: str) -> ReachedCode:
    return ReachedCode(feature="aes", instruction="aese v0.16b, v1.16b", path=path, function="hash", address=4096)


def test_what_is_there_but_unrefuted_is_a_warning(found: Compatibility) -> None:
    warned = checks(found, cpu=(crypto(),))["cpu"]
    assert (warned.status, warned.fix) == ("warn", "run it: edge-sandbox profile")
    assert "aes" in warned.reason


def test_what_a_run_came_to_fails(found: Compatibility) -> None:
    mine = found.model_copy(update={"cpu": (crypto(),)})
    ran = with_run(mine, (), (reached("/opt/tflite-runtime-2.14.0/tflite_runtime/x.so"),), finished=True)
    (row,) = ran.cpu
    assert (row.status, row.reached, row.symbol) == ("reached", True, "hash")
    failed = reached_check(ran)
    assert failed is not None
    assert failed.status == "fail"
    assert "aese v0.16b, v1.16b in hash of x.so: it needs aes" in failed.reason


def test_other_libraries_that_came_to_it_are_no_finding(found: Compatibility) -> None:
    mine = found.model_copy(update={"cpu": (crypto(),)})
    ran = with_run(mine, (), (reached("/usr/lib/libcrypto.so.3"),), finished=True)
    assert [(row.status, row.reached) for row in ran.cpu] == [("unreached", False)]
    assert reached_check(ran) is None
    for blind in (with_run(mine, (), None, finished=True), with_run(mine, (), (), finished=False)):
        assert [row.status for row in blind.cpu] == ["present"]


def test_a_run_tells_which_library_ran_what(found: Compatibility) -> None:
    result = analyse(RUNS / "ready")
    assert result.model.path.endswith("int8.tflite")
    ran = with_run(found, result.ops, (), finished=True)
    libraries = {row.library for row in ran.operators if row.type == "CONV_2D"}
    assert libraries <= {"gemmlowp", "TFLite optimised kernels", "TFLite reference kernels", "TFLite"}
    assert "gemmlowp" in libraries
    assert ran.delegations == ()
    assert all(row.instructions for row in ran.operators)


def test_operators_that_keep_a_model_from_running(found: Compatibility) -> None:
    rows = [row.model_copy(update={"status": "missing", "detail": "not there"}) for row in found.operators]
    failed = checks(found, operators=tuple(rows))["operators"]
    assert failed.status == "fail"
    assert (
        "31 operators are not in this build: CONV_2D, DEPTHWISE_CONV_2D, AVERAGE_POOL_2D and 2 more kinds"
        in failed.reason
    )
    too_new = checks(found, model=("Unsupported model IR version: 99",))["operators"]
    assert (too_new.status, too_new.reason) == ("fail", "Unsupported model IR version: 99")
    unknown = [row.model_copy(update={"status": "unknown"}) for row in found.operators]
    assert checks(found, operators=tuple(unknown))["operators"].status == "unknown"
    assert checks(found, operators=tuple(unknown), operators_unavailable="no table")["operators"].reason == "no table"
