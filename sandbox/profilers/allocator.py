"""The runner's notes on glibc's allocator, and the plugin's on calls to it → both by phase. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.measurements import AllocatorPhase
from sandbox.metrics import Metric, Mode, Quantity, Unavailable

_SOURCE = "glibc's mallinfo at the end of the phase"
_CALLS_SOURCE = "executions of the code that begins glibc's functions, counted by the plugin"
_TAKES_BACK = "free"
_LAST = "inference"
_LARGEST = 1 << 62
_MOST_PHASES = 16


def allocator_phases(
    report: Mapping[str, Any] | None, calls: Sequence[tuple[int, int]] | str, *, mode: Mode
) -> tuple[AllocatorPhase, ...]:
    """A row for each phase that ended; none where the runner noted nothing. The guest may have written anything.

    ``calls``: (address, calls so far) as the runner asked for them, one for each function in every phase, or why there
    are none.
    """
    noted = (report or {}).get("allocator")
    phases = noted.get("phases") if isinstance(noted, dict) else None
    functions = noted.get("functions") if isinstance(noted, dict) else None
    if not isinstance(phases, list) or len(phases) > _MOST_PHASES:
        return ()
    counted = _by_phase(calls, functions if isinstance(functions, dict) else {}, len(phases))
    rows = []
    before: Mapping[str, int] = {}
    for place, phase in enumerate(phases):
        sizes = [_size(phase, key) for key in ("held", "free", "releasable")]
        if not isinstance(phase, dict) or None in sizes:
            return ()
        held, free, releasable = (size or 0 for size in sizes)
        now = counted if isinstance(counted, str) else counted[place]
        rows.append(
            AllocatorPhase(
                name=str(phase.get("phase")),
                calls=_calls(now, before, mode, freeing=False),
                frees=_calls(now, before, mode, freeing=True),
                held=Metric(value=held, unit="byte", mode=mode, source=_SOURCE),
                fragmentation=Metric(value=max(0, free - releasable), unit="byte", mode=mode, source=_SOURCE),
            )
        )
        before = {} if isinstance(now, str) else now
    return tuple(rows)


def calls_of_an_inference(rows: Sequence[AllocatorPhase], inferences: int) -> Quantity:
    """How often memory is asked for in one timed inference, on average."""
    found = next((row.calls for row in rows if row.name == _LAST), None)
    if not isinstance(found, Metric) or inferences < 1:
        return found if isinstance(found, Unavailable) else Unavailable(unavailable="no inference was timed")
    return Metric(value=found.value / inferences, unit="call", mode=found.mode, source=found.source)


def calls_of_all(rows: Sequence[AllocatorPhase]) -> Quantity:
    """How often memory was asked for since the runtime was imported."""
    found = [row.calls for row in rows[1:]]
    known = [each for each in found if isinstance(each, Metric)]
    if not known or len(known) < len(found):
        return next((each for each in found if isinstance(each, Unavailable)), Unavailable(unavailable=_NOTHING))
    return Metric(value=sum(each.value for each in known), unit="call", mode=known[0].mode, source=_CALLS_SOURCE)


_NOTHING = "the run did not look at the allocator"


def last_fragmentation(rows: Sequence[AllocatorPhase]) -> Quantity:
    """Free memory between blocks in use after the last inference."""
    return next((row.fragmentation for row in rows if row.name == _LAST), Unavailable(unavailable=_NOTHING))


def _by_phase(
    calls: Sequence[tuple[int, int]] | str, functions: Mapping[Any, Any], phases: int
) -> list[dict[str, int]] | str:
    """Calls so far of each function, at the end of each phase; else why they are not known."""
    if isinstance(calls, str):
        return calls
    names = [str(name) for name in functions]
    addresses = list(functions.values())
    if not names or len(calls) < phases * len(names):
        return "the run did not count the allocator's calls"
    found = []
    for place in range(phases):
        chunk = calls[place * len(names) : (place + 1) * len(names)]
        if [address for address, _count in chunk] != addresses:
            return "the allocator's counts are damaged"
        found.append({name: count for name, (_address, count) in zip(names, chunk, strict=True)})
    return found


def _calls(now: Mapping[str, int] | str, before: Mapping[str, int], mode: Mode, *, freeing: bool) -> Quantity:
    if isinstance(now, str):
        return Unavailable(unavailable=now)
    found = sum(count - before.get(name, 0) for name, count in now.items() if (name == _TAKES_BACK) == freeing)
    if not 0 <= found < _LARGEST:
        return Unavailable(unavailable="the allocator's counts are damaged")
    return Metric(value=found, unit="call", mode=mode, source=_CALLS_SOURCE)


def _size(phase: Any, key: str) -> int | None:
    value = phase.get(key) if isinstance(phase, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST else None
