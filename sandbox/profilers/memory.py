"""Memory trace and phases of a run → peak, baseline, phases. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.engines.base import MemoryTrace
from sandbox.measurements import Phase
from sandbox.metrics import Metric, Quantity, Unavailable

_OWN_PHASES = {"report", "done"}
_SOURCE = "resident pages of the guest, read from outside the emulator"


def peak_rss(trace: MemoryTrace, *, emulated: bool) -> Quantity:
    """The guest's highest resident memory, however short; ``high`` where the emulator's share then is not exactly
    known."""
    if trace.guest_peak_bytes is None:
        return Unavailable(unavailable=trace.unavailable or "the run left no memory reading")
    return Metric(
        value=trace.guest_peak_bytes,
        unit="byte",
        mode="emulated" if emulated else "measured",
        low=trace.guest_peak_bytes,
        high=trace.guest_peak_high_bytes,
        source=_SOURCE,
    )


def peak_shares(trace: MemoryTrace, *, emulated: bool) -> tuple[Quantity, Quantity]:
    """(pages of files, all others) of the peak."""
    if trace.guest_peak_bytes is None or trace.guest_files_bytes is None:
        nothing = Unavailable(unavailable=trace.unavailable or "the run did not tell pages of files apart")
        return nothing, nothing
    mode = "emulated" if emulated else "measured"
    files = Metric(value=trace.guest_files_bytes, unit="byte", mode=mode, source=_SOURCE)
    rest = trace.guest_peak_bytes - trace.guest_files_bytes
    return files, Metric(value=rest, unit="byte", mode=mode, source=_SOURCE)


def emulator_overhead(trace: MemoryTrace, *, emulated: bool) -> Quantity:
    """What the emulator itself held when the guest was at its peak; it is in no other figure."""
    if not emulated:
        return Unavailable(unavailable="no emulator ran")
    if trace.emulator_bytes is None:
        return Unavailable(unavailable=trace.unavailable or "the run left no memory reading")
    return Metric(value=trace.emulator_bytes, unit="byte", mode="measured", source="emulator's pages on this host")


def phase_memory(trace: MemoryTrace, phases: Sequence[tuple[str, float]], *, emulated: bool) -> tuple[Phase, ...]:
    """Each phase of the model's with the memory at its end and at its highest: our own report is none of them.

    ``phases``: (name, start on the clock that the trace uses).
    """
    rows = []
    for index, (name, start) in enumerate(phases):
        if name in _OWN_PHASES:
            break
        end = phases[index + 1][1] if index + 1 < len(phases) else float("inf")
        readings = [(trace.started_seconds + seconds, guest) for seconds, guest, _emulator in trace.samples]
        until = [guest for seconds, guest in readings if seconds <= end]
        within = [guest for seconds, guest in readings if start <= seconds <= end]
        since = max(start - trace.started_seconds, 0.0)
        rows.append(
            Phase(
                name=name,
                start=Metric(value=since, unit="second", mode="measured"),
                rss_at_end=_held(until[-1:], emulated=emulated),
                peak_rss=_held([*within, *until[-1:]], emulated=emulated),
            )
        )
    return tuple(rows)


def _held(readings: Sequence[int], *, emulated: bool) -> Quantity:
    if not readings:
        return Unavailable(unavailable="no memory reading before the end of this phase")
    return Metric(value=max(readings), unit="byte", mode="emulated" if emulated else "measured", source=_SOURCE)


def runtime_baseline(phases: Sequence[Phase]) -> Quantity:
    """What the runtime and its interpreter hold before any model is loaded."""
    found = next((phase.rss_at_end for phase in phases if phase.name == "import"), None)
    return found or Unavailable(unavailable="the run ended before the runtime was imported")
