"""Why memory ran out: who noticed, in which phase, what was held, what was asked for, what was under way. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .engines.base import Outcome
from .errors import UsageError
from .last_words import last_raised
from .metrics import Metric, Quantity, Unavailable
from .profilers.last_seen import LastSeen
from .record import Need, RunRecord
from .result import OutOfMemory, OutOfMemoryKind
from .units import format_size, parse_size
from .verdict import Failure

_LONGEST = 20_000
# NumPy's MemoryError; ONNX Runtime's BFCArena::AllocateRawInternal
_ASKED = re.compile(r"Unable to allocate ([\d.]+ ?[KMGT]?i?B) for|requested buffer of size[: ]+(\d+)")
_PHASE_PARTS: Mapping[str, tuple[str, ...]] = {
    "load": ("weights", "largest weight"),
    "allocate": ("packed weights", "weights", "indirection buffers"),
}
"""Which parts of the static plan a phase takes, as `static.memory` names them."""


def explain(
    failure: Failure | None,
    outcome: Outcome,
    report: Mapping[str, Any] | None,
    phases: Sequence[tuple[str, float]],
    record: RunRecord,
    *,
    seen: LastSeen | None = None,
) -> OutOfMemory | None:
    """What is known of a run that failed for want of memory; ``None`` for any other run.

    ``seen``: what was seen of it before it was killed.
    """
    if failure is None or failure.check != "memory":
        return None
    error = report.get("error") if report else None
    raised = last_raised(outcome.stderr) if outcome.signal is None else None  # an abort is C++'s, whatever came before
    if isinstance(error, dict):
        raised = str(error.get("type")), str(error.get("message"))
    said = ": ".join(raised) if raised else outcome.stderr[-_LONGEST:]
    phase = phases[-1][0] if phases else "start"
    if isinstance(error, dict) and not outcome.out_of_memory:
        phase = str(error.get("phase") or phase)
    trace = outcome.memory
    held: Quantity = Unavailable(unavailable=trace.unavailable or "the run left no memory reading")
    if trace.guest_peak_bytes is not None:
        mode = "measured" if outcome.emulator is None else "emulated"
        own = trace.guest_peak_bytes - (trace.guest_files_bytes or 0)  # the kernel drops pages of files first
        if outcome.out_of_memory:  # until it is seen it may take more than the device would have given
            own = min(own, record.device.memory_limit_bytes)
        held = Metric(value=own, unit="byte", mode=mode, source="the guest's peak until then, pages of files left out")
    kind = _kind(outcome, said[:_LONGEST])
    seen = seen if seen and outcome.out_of_memory else LastSeen()
    ran = _observed(seen.operator, record) if seen.operator else None
    need = ran or _under_way(phase, record.needs)
    return OutOfMemory(
        kind=kind,
        phase=phase,
        held=held,
        asked=_asked(kind, said[:_LONGEST], seen),
        under_way=need.what if need else None,
        under_way_seen=ran is not None,
        under_way_needs=Metric(value=need.size_bytes, unit="byte", mode="predicted", source="the model file")
        if need and need.size_bytes
        else Unavailable(unavailable="the model file does not tell what this takes"),
    )


def sentence(found: OutOfMemory) -> str:
    """The same for people, to follow the reason of the failure; empty when nothing more is known."""
    words = []
    if isinstance(found.held, Metric):
        words.append(f"it held {format_size(found.held.value)} of its own")
    if isinstance(found.asked, Metric):
        killed = found.kind in {"kernel", "watchdog"}
        words.append(f"{'had last asked' if killed else 'asked'} for {format_size(found.asked.value)} more")
    if found.under_way and found.under_way_seen:
        words.append(f"{found.under_way} was under way")
    elif found.under_way and isinstance(found.under_way_needs, Metric):
        words.append(f"by the model file {found.under_way} needs {format_size(found.under_way_needs.value)}")
    return "; " + ", ".join(words) if words else ""


def _kind(outcome: Outcome, said: str) -> OutOfMemoryKind:
    if outcome.out_of_memory:
        return "watchdog" if outcome.limit_mechanism == "watchdog" else "kernel"
    if "bad_alloc" in said:
        return "bad_alloc"
    return "MemoryError" if "MemoryError" in said else "runtime"


def _asked(kind: OutOfMemoryKind, said: str, seen: LastSeen) -> Quantity:
    if kind in {"kernel", "watchdog"}:
        if not seen.asked_bytes:
            return Unavailable(unavailable="it was killed when it touched a page: what it had asked for was not seen")
        source = "its last mmap, mremap or brk before it was killed, to 4 KiB, as the counting plugin saw it"
        return Metric(value=seen.asked_bytes, unit="byte", mode="emulated", source=source)
    match = _ASKED.search(said)
    try:
        size = parse_size((match[1] or match[2]).replace(" ", "")) if match else None
    except UsageError:
        size = None
    if size is None:
        return Unavailable(unavailable="the message does not say how much was asked for")
    return Metric(value=size, unit="byte", mode="emulated", source="the message")


def _observed(operator: tuple[int, int], record: RunRecord) -> Need:
    """The operator that ran, with what the plan says of it: a size of 0 where that is nothing."""
    subgraph, index = operator
    operators = record.model.operators
    if subgraph:
        return Need(part="operator", what=f"operator {index} of subgraph {subgraph}", size_bytes=0)
    if index >= len(operators):  # a delegate's nodes come after those of the file
        return Need(part="operator", what=f"a delegate's part of the model (node {index})", size_bytes=0)
    what = f"{operators[index].type} (operator {index})"
    planned = next((need for need in record.needs if need.part == "operator" and need.operator == index), None)
    return planned or Need(part="operator", what=what, size_bytes=0)


def _under_way(phase: str, needs: Sequence[Need]) -> Need | None:
    """What the static plan says of the phase: the largest of its parts; during inferences the greediest operator."""
    wanted = _PHASE_PARTS.get(phase, ("operator",) if phase in {"warmup", "inference"} else ())
    return max((need for need in needs if need.part in wanted), key=lambda need: need.size_bytes, default=None)
