"""Time of an inference that an emulated core ran, of the whole and of each operator, in place of the predicted one."""

from __future__ import annotations

from pathlib import Path

from sandbox.estimate import budget_check
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import Latency, Result
from sandbox.verdict import judge

from .latency import counted_latency, predicted_latency, with_count
from .outcome import OperatorWork
from .record import MicrocontrollerRecord
from .runner_record import RunnerRecord


def with_times(result: Result, record: MicrocontrollerRecord, ran: RunnerRecord, dtype: str, directory: Path) -> Result:
    """The result with times by the runner's counts. ``directory``: of calibrations.

    Where no published times were laid over instructions of that core and those kernels, the estimate by
    multiply-accumulates stays, made for the kernels that the library has.
    """
    part = result.microcontroller
    assert part is not None
    instructions = _instructions(ran)
    latency = counted_latency(record.board, ran.kernels, instructions, dtype, directory)
    if isinstance(latency.mean, Unavailable):
        by_macs = predicted_latency(record.board, ran.kernels, part.macs, dtype, directory)
        latency = with_count(by_macs, instructions)
    operators, between = _shares(part.operators, latency)
    budget = record.latency_budget_seconds
    kept = tuple(check for check in result.checks if check.id != "latency")
    checks = kept if budget is None else (*kept, budget_check(latency.mean, budget))
    return result.model_copy(
        update={
            "latency": latency,
            "checks": checks,
            "verdict": judge(checks),
            "microcontroller": part.model_copy(update={"operators": operators, "interpreter_time": between}),
        }
    )


def _instructions(ran: RunnerRecord) -> Quantity:
    if ran.instructions is None:
        return Unavailable(unavailable=ran.failure or "TFLM did not run the model to its end")
    return Metric(
        value=ran.instructions, unit="instruction", mode="emulated", source=f"{ran.emulator}, machine {ran.machine}"
    )


def _shares(works: tuple[OperatorWork, ...], latency: Latency) -> tuple[tuple[OperatorWork, ...], Quantity]:
    """The operators with their times, and the time between them. Instructions of one kind of operator may cost more
    than those of another: no published times are of operators, so a share has no interval."""
    mean, whole = latency.mean, latency.counts.instructions
    counted = [work.instructions for work in works if isinstance(work.instructions, Metric)]
    missing = next((each for each in (mean, whole) if isinstance(each, Unavailable)), None)
    if missing is None and not counted:
        missing = Unavailable(unavailable="the operators were not counted one by one")
    if missing is not None:
        return tuple(work.model_copy(update={"time": missing}) for work in works), missing
    assert isinstance(mean, Metric)
    assert isinstance(whole, Metric)

    def share(instructions: float) -> Metric:
        source = "a share of the mean by instructions"
        return Metric(value=mean.value * instructions / whole.value, unit="second", mode=mean.mode, source=source)

    timed = tuple(
        work.model_copy(
            update={
                "time": share(work.instructions.value)
                if isinstance(work.instructions, Metric)
                else Unavailable(unavailable="TFLM did not run it by itself")
            }
        )
        for work in works
    )
    return timed, share(whole.value - sum(each.value for each in counted))
