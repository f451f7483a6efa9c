"""Fits on the microcontroller or not, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import Check
from sandbox.units import format_size
from sandbox.verdict import MARGINAL_HEADROOM, Failure

from .board import Microcontroller
from .outcome import Arena, Flash, OperatorWork

_SLOW_FLOAT = (
    "quantise the model to int8: without an FPU every float operation is a call of a library, some ten to forty times "
    "slower"
)


def ram_limit(board: Microcontroller, memory_bytes: int | None, reserve_bytes: int) -> Quantity:
    """What of the RAM an arena can have: the largest block without a gap, or the user's limit, less the reserve."""
    if memory_bytes is not None:
        return Metric(
            value=max(memory_bytes - reserve_bytes, 0), unit="byte", mode="predicted", source="--memory less --reserve"
        )
    if not board.data_spans:
        return Unavailable(unavailable=f"{board.origin.name} lists no RAM that data can lie in")
    names, size = board.data_spans[0]
    source = f"{board.origin.name}: {names}, the largest block of RAM without a gap"
    if reserve_bytes:
        source += f", less {format_size(reserve_bytes)} kept back"
    return Metric(value=max(size - reserve_bytes, 0), unit="byte", mode="measured", source=source)


def memory_check(arena: Arena | None, limit: Quantity, failure: Failure | None, *, here: Arena | None = None) -> Check:
    """Does the arena fit into a block of RAM, judged by its upper end? Data and stack come on top.

    ``here``: what TFLM itself did on this host, for people who met its words on the board.
    """
    if failure is not None and failure.check == "memory":
        return Check(id="memory", status="fail", limit=limit, reason=failure.reason, fix=failure.fix)
    needed: Quantity = arena.minimum if arena else Unavailable(unavailable="no arena was planned")
    if isinstance(needed, Unavailable):
        return Check(id="memory", status="unknown", value=needed, limit=limit, reason=needed.unavailable)
    if isinstance(limit, Unavailable):
        return Check(id="memory", status="unknown", value=needed, limit=limit, reason=limit.unavailable)
    least, most = needed.low or needed.value, needed.high or needed.value
    reason = f"an arena of {format_size(most)} in {format_size(limit.value)} of RAM"
    if least > limit.value:
        fix = "use a smaller input or model, quantise it, or take a board with more RAM in one block"
        reason += _as_tflm_says(here) if here else ""
        return Check(id="memory", status="fail", value=needed, limit=limit, reason=reason, fix=fix)
    left = 1 - most / max(limit.value, 1)
    if left < MARGINAL_HEADROOM:
        fix = "stack, heap and data of the application need RAM too: leave at least a tenth free"
        reason += f": {left:.0%} left" if left >= 0 else ": it may not fit, the prediction is no sharper"
        return Check(id="memory", status="warn", value=needed, limit=limit, reason=reason, fix=fix)
    reason = f"{reason}: {left:.0%} left for data and stack"
    return Check(id="memory", status="pass", value=needed, limit=limit, reason=reason)


def _as_tflm_says(here: Arena) -> str:
    words = f"; of too small an arena TFLM says: {here.refusal}" if here.refusal else ""
    recorded, least = here.recorded, here.minimum
    if isinstance(recorded, Metric) and isinstance(least, Metric) and recorded.value < least.value:
        words += (
            f"; do not size it by what TFLM reports to have used: that is {format_size(recorded.value)} on this host, "
            f"where it works from {format_size(least.value)}"
        )
    return words


def flash_check(flash: Flash) -> Check:
    """Do model and TFLM's code fit into flash? Judged by both ends."""
    total, available = flash.total, flash.available
    if isinstance(total, Unavailable) or isinstance(available, Unavailable):
        reason = "what has to lie in flash, or how large it is, is not known"
        return Check(id="flash", status="unknown", value=total, limit=available, reason=reason)
    least, most = total.low or total.value, total.high or total.value
    reason = f"{format_size(total.value)} of {format_size(available.value)} of flash"
    if isinstance(flash.model, Metric):
        reason += f", {format_size(flash.model.value)} of it the model"
    if least > available.value:
        fix = "quantise or shrink the model, link only its own operators, or take a board with more flash"
        return Check(id="flash", status="fail", value=total, limit=available, reason=reason, fix=fix)
    if most > available.value * (1 - MARGINAL_HEADROOM):
        fix = "link only the model's own operators, and look at the linker's map: the prediction of code is no sharper"
        return Check(id="flash", status="warn", value=total, limit=available, reason=reason, fix=fix)
    return Check(id="flash", status="pass", value=total, limit=available, reason=reason)


def operators_check(works: Sequence[OperatorWork], failure: Failure | None, *, ran: bool) -> Check:
    """Does TFLM have every operator, and take it as it is?"""
    missing = dict.fromkeys(work.type for work in works if work.registered is False)
    if missing:
        names = ", ".join(missing)
        fix = f"convert the model without {names}, or write and register the kernel"
        return Check(id="operators", status="fail", reason=f"TFLM has no {names}", fix=fix)
    if failure is not None and failure.check == "operators":
        return Check(id="operators", status="fail", reason=failure.reason, fix=failure.fix)
    kinds = len({work.type for work in works})
    if failure is not None:
        return Check(id="operators", status="unknown", reason="the run ended before this could be seen")
    seen = "ran" if ran else "are in TFLM; whether it takes their types, only a run tells"
    return Check(id="operators", status="pass", reason=f"all {len(works)} operators of {kinds} kinds {seen}")


def cpu_check(board: Microcontroller, *, is_float: bool) -> Check:
    """A model of floats runs on a core without an FPU, but slowly."""
    cpu = board.cpu
    if is_float and cpu.fpu == "none":
        return Check(id="cpu", status="warn", reason=f"a float model on a {cpu.core} without FPU", fix=_SLOW_FLOAT)
    return Check(id="cpu", status="pass", reason=f"{'float' if is_float else 'integer'} model on a {cpu.core}")


def run_check(failure: Failure | None, skipped: str | None) -> Check:
    """Did TFLM run the model?"""
    if skipped is not None:
        return Check(id="run", status="skipped", reason=skipped)
    if failure is None:
        return Check(id="run", status="pass", reason="TFLM set it up, ran it and ended by itself")
    if failure.check == "run":
        return Check(id="run", status="fail", reason=failure.reason, fix=failure.fix)
    return Check(id="run", status="unknown", reason="the run ended before this could be seen")
