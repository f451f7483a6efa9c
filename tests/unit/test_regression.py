"""A result against an earlier one: what changed, what was allowed, and what cannot be compared."""

from __future__ import annotations

import pytest

from sandbox.errors import DataFileError
from sandbox.measurements import Op
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.regression import Thresholds, against
from sandbox.result import Change, Check, Result
from tests.unit.recorded import result

NONE = Thresholds()
UNKNOWN = Unavailable(unavailable="nobody looked")


def times(quantity: Quantity, factor: float) -> Metric:
    assert isinstance(quantity, Metric)
    return quantity.model_copy(update={"value": quantity.value * factor})


def slower(given: Result, factor: float) -> Result:
    latency = given.latency.model_copy(update={"mean": times(given.latency.mean, factor)})
    return given.model_copy(update={"latency": latency})


def with_ops(given: Result, factors: dict[int, float]) -> Result:
    ops = tuple(
        op.model_copy(update={"instructions": times(op.instructions, factors.get(op.index, 1.0))}) for op in given.ops
    )
    return given.model_copy(update={"ops": ops})


def changes(now: Result, before: Result, thresholds: Thresholds = NONE) -> dict[str, Change]:
    found = against(now, before, thresholds).baseline
    assert found is not None
    return {change.what: change for change in found.changes}


def check(now: Result, before: Result, thresholds: Thresholds) -> Check:
    judged = against(now, before, thresholds)
    (found,) = (each for each in judged.checks if each.id == "regression")
    return found


def test_without_thresholds_it_only_tells() -> None:
    given = result("calibrated")
    judged = against(slower(given, 2), given, NONE)
    assert judged.checks == given.checks
    assert judged.verdict == given.verdict
    assert changes(slower(given, 2), given)["latency"].increase == pytest.approx(1.0)


@pytest.mark.parametrize(("factor", "status"), [(0.5, "pass"), (1.0, "pass"), (1.049, "pass"), (1.051, "fail")])
def test_an_increase_beyond_what_is_allowed_fails(factor: float, status: str) -> None:
    given = result("calibrated")
    assert check(slower(given, factor), given, Thresholds(latency=0.05)).status == status
    verdict = against(slower(given, factor), given, Thresholds(latency=0.05)).verdict
    assert verdict.status == ("not_ready" if status == "fail" else "ready")
    if status == "fail":
        assert verdict.reasons == ("regression: latency +5.1%, 5.0% allowed",)
        assert verdict.fix


def test_a_result_that_was_compared_before_has_only_the_last_answer() -> None:
    given, limits = result("calibrated"), Thresholds(latency=0.05)
    failed = against(slower(given, 2), given, limits)
    assert failed.verdict.status == "not_ready"
    again = against(failed, slower(given, 2), limits)
    assert [each.status for each in again.checks if each.id == "regression"] == ["pass"]
    assert again.verdict.status == "ready"


def test_peak_memory() -> None:
    given = result("calibrated")
    memory = given.memory.model_copy(update={"peak_rss": times(given.memory.peak_rss, 1.2)})
    now = given.model_copy(update={"memory": memory})
    assert check(now, given, Thresholds(memory=0.1)).reason == "peak memory +20.0%, 10.0% allowed"
    assert check(now, given, Thresholds(memory=0.21)).status == "pass"


def test_operators_by_their_instructions() -> None:
    given = result("calibrated")
    now = with_ops(given, {0: 1.3, 2: 1.2, 4: 1.01, 5: 0.9})
    found = [change for name, change in changes(now, given).items() if name.startswith("operator ")]
    increases = [round(change.increase or 0, 3) for change in found]
    assert increases == [0.3, 0.2, -0.1, 0.01], "the largest change first, those without one not at all"
    assert check(now, given, Thresholds(operator=0.25)).reason.startswith("operator CONV_2D ")
    assert "; and " not in check(now, given, Thresholds(operator=0.15)).reason
    many = with_ops(given, {op.index: 2.0 for op in given.ops})
    assert check(many, given, Thresholds(operator=0.15)).reason.endswith("; and 28 more")


def test_operators_of_the_same_name_are_told_apart_by_their_order() -> None:
    given = result("calibrated")
    names = [op.name for op in given.ops]
    assert len(set(names)) < len(names), "XNNPACK gives many the same"
    now = with_ops(given, {26: 1.5})
    (found,) = (change for name, change in changes(now, given).items() if name.startswith("operator "))
    assert found.increase == pytest.approx(0.5)
    assert found.what.endswith(")")


def test_new_and_lost_operators_are_no_increase() -> None:
    given = result("calibrated")

    def renamed(op: Op) -> Op:
        return op.model_copy(update={"name": f"new {op.name}"})

    now = given.model_copy(update={"ops": (*given.ops[:3], *(renamed(op) for op in given.ops[3:]))})
    assert check(now, given, Thresholds(operator=0.01)).status == "pass"
    none = given.model_copy(update={"ops": tuple(renamed(op) for op in given.ops)})
    assert check(none, given, Thresholds(operator=0.01)).status == "unknown"


def test_without_a_calibration_the_critical_path_stands_for_the_time() -> None:
    given = result("ready")
    assert isinstance(given.latency.counts.critical_path, Metric)
    counts = given.latency.counts.model_copy(update={"critical_path": times(given.latency.counts.critical_path, 1.1)})
    now = given.model_copy(update={"latency": given.latency.model_copy(update={"counts": counts})})
    name = "latency, by the instructions on its critical path"
    assert changes(now, given)[name].increase == pytest.approx(0.1)
    assert check(now, given, Thresholds(latency=0.05)).status == "fail"


def test_what_is_not_known_of_both_is_unknown_and_no_pass() -> None:
    given = result("calibrated")
    memory = given.memory.model_copy(update={"peak_rss": UNKNOWN})
    for now, before in (
        (given.model_copy(update={"memory": memory}), given),
        (given, given.model_copy(update={"memory": memory})),
    ):
        found = check(now, before, Thresholds(memory=0.1, latency=0.1))
        assert (found.status, found.reason) == ("unknown", "not known of both results: peak memory")
    failed = check(slower(given.model_copy(update={"memory": memory}), 2), given, Thresholds(memory=0.1, latency=0.1))
    assert failed.status == "fail", "what is known to be worse counts first"


def test_what_else_differs_is_told() -> None:
    given = result("calibrated")
    found = against(given, result("ready"), NONE).baseline
    assert found is not None
    assert [text.partition(":")[0] for text in found.differences] == ["model", "calibration"]
    assert not (against(given, given, NONE).baseline or pytest.fail("no baseline")).differences


@pytest.mark.parametrize(
    ("what", "part", "change"),
    [
        ("device", "device", {"id": "rpi5"}),
        ("number of threads", "runtime", {"threads": 4}),
        ("way to run", "engine", {"name": "native"}),
    ],
)
def test_another_setup_is_refused(what: str, part: str, change: dict[str, object]) -> None:
    given = result("calibrated")
    other = given.model_copy(update={part: getattr(given, part).model_copy(update=change)})
    with pytest.raises(DataFileError, match=f"the baseline is of another {what}") as caught:
        against(given, other, NONE)
    assert caught.value.hint
