"""massif's output and the allocator's own word → the heap of the result document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import DataFileError
from .metrics import Metric, Mode, Unavailable
from .profilers import allocator
from .profilers.counts import Marks
from .profilers.heap_owners import heap_owners
from .profilers.massif import OTHER, UNKNOWN, parse_massif
from .result import Heap, HeapShare, HeapSite

_SITES = 12
_NOT_NOTED = Unavailable(unavailable="the run did not look at the allocator")
_SOURCE = "valgrind massif"
_OVERHEAD_SOURCE = f"{_SOURCE}'s reckoning: 8 bytes a block, rounded up to 16, as glibc does with 64 bits"


def missing(reason: str) -> Heap:
    """A heap of which nothing is known, and why."""
    nothing = Unavailable(unavailable=reason)
    return Heap(
        peak=nothing,
        owners=(),
        overhead=nothing,
        fragmentation=_NOT_NOTED,
        allocator_calls=_NOT_NOTED,
        sites_unavailable=reason,
        by_library=(),
        sites=(),
        timeline=(),
        timeline_unit="i",
    )


def read(text: str, *, runtime_folder: str, emulator: str | None) -> Heap:
    """What massif's output says; a damaged one is a heap of which nothing is known.

    ``runtime_folder``: part of the path of all files of the runtime in the guest. ``emulator``: that massif ran in.
    """
    mode: Mode = "emulated" if emulator else "measured"
    source = f"{_SOURCE} in {emulator}" if emulator else _SOURCE
    try:
        profile = parse_massif(text)
    except DataFileError as error:
        return missing(error.message)
    if profile.peak_bytes == 0:
        return missing("massif saw no allocation at all: it could not hook the guest's allocator")

    def size(value: int) -> Metric:
        return Metric(value=value, unit="byte", mode=mode, source=source)

    unwound = any(library not in {UNKNOWN, OTHER} for library, _bytes in profile.by_library)
    return Heap(
        peak=size(profile.peak_bytes),
        owners=tuple(
            HeapShare(owner=owner, size=size(held))
            for owner, held in (heap_owners(profile.chains, runtime_folder).items() if unwound else ())
        ),
        overhead=Metric(value=profile.extra_bytes, unit="byte", mode="predicted", source=_OVERHEAD_SOURCE),
        fragmentation=_NOT_NOTED,
        allocator_calls=_NOT_NOTED,
        sites_unavailable=None if unwound else "valgrind cannot follow calls through these libraries",
        by_library=tuple(HeapSite(library=lib, function=None, size=size(held)) for lib, held in profile.by_library),
        sites=tuple(
            HeapSite(library=site.library, function=site.function, size=size(site.bytes))
            for site in profile.sites[:_SITES]
        ),
        timeline=tuple((float(s.time), s.heap_bytes + s.extra_bytes) for s in profile.snapshots),
        timeline_unit=profile.time_unit,
    )


def with_allocator(heap: Heap, report: Mapping[str, Any] | None, marks: Marks | str, emulator: str | None) -> Heap:
    """The heap with what the latency run tells of the allocator. ``marks``: of that run, or why there are none."""
    calls = marks if isinstance(marks, str) else marks.calls
    rows = allocator.allocator_phases(report, calls, mode="emulated" if emulator else "measured")
    if not rows:
        return heap
    timed = (report or {}).get("latencies_ns")
    return heap.model_copy(
        update={
            "fragmentation": allocator.last_fragmentation(rows),
            "allocator_calls": allocator.calls_of_all(rows),
            "inference_calls": allocator.calls_of_an_inference(rows, len(timed) if isinstance(timed, list) else 0),
            "allocator_phases": rows,
        }
    )
