"""valgrind massif's output → how much heap there was at the peak, and whose it was.

Text format: ``massif/ms_main.c`` of valgrind (``pp_snapshot``). Each snapshot is a block of ``key=value`` lines; some
are followed by a tree of ``n<children>: <bytes> <place>`` lines, one blank of indentation a level, parents first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from sandbox.errors import DataFileError

TimeUnit = Literal["i", "ms", "B"]

OTHER = "other"
"""The library of all sites below massif's threshold."""
UNKNOWN = "unknown"
"""The library of code that lies in no file, such as code made at run time."""

_RULE = re.compile(r"^#-+$")
_NUMBER = re.compile(r"[0-9]{1,18}")
_NODE = re.compile(r"( *)n([0-9]{1,9}): ([0-9]{1,18}) (.+)")
_BELOW_THRESHOLD = re.compile(r"in [0-9]+ places?, (?:all )?below massif's threshold")
_PLACE = re.compile(r"0x[0-9A-Fa-f]+: (.+)")
_OBJECT, _SOURCE = " (in ", re.compile(r" \(([^()]+):[0-9]+\)$")
_RERUN = "profile again"
_DEEPEST = 64
"""Frames of a chain that are kept: massif writes as many as its option ``--depth`` says, 12 here."""


@dataclass(frozen=True, kw_only=True)
class HeapSnapshot:
    """The heap at one moment."""

    time: int
    """In the profile's `HeapProfile.time_unit`."""
    heap_bytes: int
    """What the program asked for."""
    extra_bytes: int
    """What the allocator added: headers and rounding."""


@dataclass(frozen=True, kw_only=True)
class AllocationSite:
    """The code that called the allocator, and what of its memory was in use at the peak."""

    library: str
    """File name of the library or program, of the source file where massif names that instead, or `OTHER`."""
    function: str
    """As massif gives it, demangled; ``???`` for all functions of a library without symbols together."""
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A place in the code."""

    file: str
    """Path of the library or program in the guest, or a source file's name; empty where massif names neither."""
    function: str


@dataclass(frozen=True, kw_only=True)
class AllocationChain:
    """The calls that led to the allocator, the innermost first, and what of their memory was in use at the peak.

    It ends early where massif sums up what is below its threshold, and at its greatest depth.
    """

    frames: tuple[Frame, ...]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class HeapProfile:
    """A run's heap. Anonymous mappings made by the program itself are no part of it."""

    peak_bytes: int
    """Asked for and added by the allocator, at the peak snapshot."""
    peak_time: int
    time_unit: TimeUnit
    """``i`` instructions, ``ms`` milliseconds, ``B`` bytes allocated and freed."""
    snapshots: tuple[HeapSnapshot, ...]
    sites: tuple[AllocationSite, ...]
    """At the peak, the largest first; empty where massif wrote no tree for it. Python's allocator counts as the site
    of all that Python code holds: what called it is not looked for."""
    extra_bytes: int = 0
    """Of the peak, what the allocator added by massif's reckoning: 8 bytes a block, and rounding up to 16."""
    chains: tuple[AllocationChain, ...] = ()
    """The sites at the peak with their callers: together all that was asked for."""

    @property
    def by_library(self) -> tuple[tuple[str, int], ...]:
        """(library, bytes) at the peak, the largest first."""
        sums: Counter[str] = Counter()
        for site in self.sites:
            sums[site.library] += site.bytes
        return tuple(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, kw_only=True)
class _Block:
    snapshot: HeapSnapshot
    sites: tuple[AllocationSite, ...]
    chains: tuple[AllocationChain, ...]
    is_peak: bool

    @property
    def total(self) -> int:
        return self.snapshot.heap_bytes + self.snapshot.extra_bytes


def parse_massif(text: str) -> HeapProfile:
    """Read massif's output. Raises `DataFileError` naming what is wrong: a damaged or cut-off file, no snapshot.

    A file without a peak (a program that only ever allocates may have none) gives its largest snapshot.
    """
    # splitlines would also split at characters that C++ symbols may hold
    lines = text.removesuffix("\n").split("\n")
    starts = [at for at, line in enumerate(lines) if line.startswith("snapshot=")]
    unit = _time_unit(lines[: starts[0] if starts else None])
    if not starts:
        raise DataFileError("massif's output holds no snapshot", hint=_RERUN)
    if not text.endswith("\n"):
        raise _cut_off(len(lines))
    blocks = [_block(lines, first + 1, end) for first, end in pairwise([*starts, len(lines) + 2])]
    peaks = [block for block in blocks if block.is_peak] or blocks
    peak = max(peaks, key=lambda block: block.total)
    return HeapProfile(
        peak_bytes=peak.total,
        peak_time=peak.snapshot.time,
        time_unit=unit,
        snapshots=tuple(block.snapshot for block in blocks),
        sites=peak.sites,
        extra_bytes=peak.snapshot.extra_bytes,
        chains=peak.chains,
    )


def _time_unit(header: list[str]) -> TimeUnit:
    found = next((line.partition(": ")[2] for line in header if line.startswith("time_unit: ")), None)
    for unit in get_args(TimeUnit):
        if unit == found:
            return unit  # type: ignore[no-any-return]
    problem = "has no time_unit line" if found is None else f"counts time in {found[:20]!r}"
    raise DataFileError(f"massif's output {problem}", hint=_RERUN)


def _block(lines: list[str], first: int, next_snapshot: int) -> _Block:
    """The block whose ``snapshot=`` line is just before ``first``; a rule surrounds the next block's."""
    body = range(first, min(next_snapshot - 1, len(lines)))
    if not body or not _RULE.match(lines[first]) or (len(body) > 1 and _RULE.match(lines[body[-1]])):
        raise _cut_off(body.stop)
    values = []
    for at, key in enumerate(("time", "mem_heap_B", "mem_heap_extra_B", "mem_stacks_B"), first + 1):
        if at not in body:
            raise _cut_off(at)
        name, _, value = lines[at].partition("=")
        if name != key or not _NUMBER.fullmatch(value):
            raise _damaged(lines, at, f"{key}=<number>")
        values.append(int(value))
    tree = first + 5
    if tree not in body:
        raise _cut_off(tree)
    kind = lines[tree].removeprefix("heap_tree=")
    if kind not in {"empty", "detailed", "peak"} or kind == lines[tree]:
        raise _damaged(lines, tree, "heap_tree=empty, detailed or peak")
    if kind == "empty" and tree + 1 in body:
        raise _damaged(lines, tree + 1, "the end of the snapshot")
    nodes = [] if kind == "empty" else list(_nodes(lines, range(tree + 1, body.stop)))
    snapshot = HeapSnapshot(time=values[0], heap_bytes=values[1], extra_bytes=values[2])
    return _Block(snapshot=snapshot, sites=_sites(nodes), chains=tuple(_chains(nodes)), is_peak=kind == "peak")


def _sites(nodes: Sequence[_Node]) -> tuple[AllocationSite, ...]:
    sums: Counter[tuple[str, str]] = Counter()
    for node in nodes:
        if node.depth == 1:
            frame = _frame(node.place)
            sums[_library(frame, node.place), frame.function] += node.bytes
    found = [AllocationSite(library=library, function=name, bytes=size) for (library, name), size in sums.items()]
    return tuple(sorted(found, key=lambda site: (-site.bytes, site.library, site.function)))


def _chains(nodes: Sequence[_Node]) -> Iterator[AllocationChain]:
    path: list[Frame] = []
    for node in nodes:
        del path[max(0, node.depth - 1) :]
        if 0 < node.depth <= _DEEPEST and not _BELOW_THRESHOLD.match(node.place):
            path.append(_frame(node.place))
        if node.is_leaf and node.depth:
            yield AllocationChain(frames=tuple(path), bytes=node.bytes)


class _Node(NamedTuple):
    depth: int
    bytes: int
    place: str
    is_leaf: bool


def _nodes(lines: list[str], tree: range) -> Iterator[_Node]:
    """Every node, as long as each has the children it announces."""
    missing = [1]  # how many more nodes each open level wants, the root's own level first
    for at in tree:
        node = _NODE.fullmatch(lines[at])
        while missing and not missing[-1]:
            missing.pop()
        if node is None or len(node[1]) != len(missing) - 1:
            raise _damaged(lines, at, "a line of the heap tree")
        missing[-1] -= 1
        missing.append(int(node[2]))
        yield _Node(len(node[1]), int(node[3]), node[4], is_leaf=not int(node[2]))
    if any(missing):
        raise _cut_off(tree.stop)


def _library(frame: Frame, place: str) -> str:
    return frame.file.rpartition("/")[2] or (OTHER if _BELOW_THRESHOLD.match(place) else UNKNOWN)


def _frame(place: str) -> Frame:
    """What a node's text names."""
    code = _PLACE.fullmatch(place)
    if code is None:  # "(page allocation syscalls) …" of --pages-as-heap is no address either
        return Frame(file="", function=place)
    function, separator, path = code[1].rpartition(_OBJECT)
    if separator and path.endswith(")"):
        return Frame(file=path[:-1], function=function)
    source = _SOURCE.search(code[1])
    if source:
        return Frame(file=source[1], function=code[1][: source.start()])
    return Frame(file="", function=code[1])


def _cut_off(line: int) -> DataFileError:
    return DataFileError(f"massif's output is cut off after line {line}", hint=f"{_RERUN}; is the disk full?")


def _damaged(lines: list[str], at: int, expected: str) -> DataFileError:
    return DataFileError(f"massif's output, line {at + 1}: {lines[at][:60]!r} is not {expected}", hint=_RERUN)
