"""massif's output → the heap of the result document: how much, whose, and what it does not tell. Pure."""

from __future__ import annotations

from .errors import DataFileError
from .metrics import Metric, Mode, Unavailable
from .profilers.heap_owners import heap_owners
from .profilers.massif import OTHER, UNKNOWN, parse_massif
from .result import Heap, HeapShare, HeapSite

_SITES = 12
_NO_FRAGMENTATION = Unavailable(unavailable="massif sees blocks in use only, not the free ones between them")
_NO_CALLS = Unavailable(unavailable="massif does not tell how often the allocator was called")
_SOURCE = "valgrind massif"
_OVERHEAD_SOURCE = f"{_SOURCE}'s reckoning: 8 bytes a block, rounded up to 16, as glibc does with 64 bits"


def missing(reason: str) -> Heap:
    """A heap of which nothing is known, and why."""
    nothing = Unavailable(unavailable=reason)
    return Heap(
        peak=nothing,
        owners=(),
        overhead=nothing,
        fragmentation=nothing,
        allocator_calls=nothing,
        sites_unavailable=reason,
        by_library=(),
        sites=(),
        timeline=(),
        timeline_unit="i",
    )


def read(text: str, *, runtime_folder: str, mode: Mode) -> Heap:
    """What massif's output says; a damaged one is a heap of which nothing is known.

    ``runtime_folder``: part of the path of all files of the runtime in the guest. ``mode``: of massif's own counts.
    """
    try:
        profile = parse_massif(text)
    except DataFileError as error:
        return missing(error.message)
    if profile.peak_bytes == 0:
        return missing("massif saw no allocation at all: it could not hook the guest's allocator")

    def size(value: int) -> Metric:
        return Metric(value=value, unit="byte", mode=mode, source=_SOURCE)

    unwound = any(library not in {UNKNOWN, OTHER} for library, _bytes in profile.by_library)
    return Heap(
        peak=size(profile.peak_bytes),
        owners=tuple(
            HeapShare(owner=owner, size=size(held))
            for owner, held in (heap_owners(profile.chains, runtime_folder).items() if unwound else ())
        ),
        overhead=Metric(value=profile.extra_bytes, unit="byte", mode="predicted", source=_OVERHEAD_SOURCE),
        fragmentation=_NO_FRAGMENTATION,
        allocator_calls=_NO_CALLS,
        sites_unavailable=None if unwound else "valgrind cannot follow calls through these libraries",
        by_library=tuple(HeapSite(library=lib, function=None, size=size(held)) for lib, held in profile.by_library),
        sites=tuple(
            HeapSite(library=site.library, function=site.function, size=size(site.bytes))
            for site in profile.sites[:_SITES]
        ),
        timeline=tuple((float(s.time), s.heap_bytes + s.extra_bytes) for s in profile.snapshots),
        timeline_unit=profile.time_unit,
    )
