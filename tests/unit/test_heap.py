"""The heap of the result document: all of the peak has an owner, and what is not known says so."""

from __future__ import annotations

from pathlib import Path

from sandbox.heap import missing, read
from sandbox.metrics import Metric, Unavailable

RECORDED = (Path(__file__).parents[1] / "data" / "massif" / "mobilenet_tflite_arm64.out").read_text()
EMPTY = "desc: x\ncmd: x\ntime_unit: i\n#-----------\nsnapshot=0\n#-----------\ntime=0\nmem_heap_B={size}\n"
EMPTY += "mem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=empty\n"


def test_owners_and_overhead_are_the_whole_peak() -> None:
    found = read(RECORDED, runtime_folder="/tflite", emulator="QEMU 7.2")
    sizes = [share.size.value for share in found.owners if isinstance(share.size, Metric)]
    assert isinstance(found.peak, Metric)
    assert isinstance(found.overhead, Metric)
    assert sum(sizes) + found.overhead.value == found.peak.value
    assert sizes == sorted(sizes, reverse=True)
    assert (found.peak.mode, found.overhead.mode, found.overhead.value) == ("emulated", "predicted", 136_196)


def test_the_source_names_the_emulator() -> None:
    by_emulator = {None: "valgrind massif", "QEMU 7.2": "valgrind massif in QEMU 7.2"}
    for emulator, source in by_emulator.items():
        peak = read(RECORDED, runtime_folder="/tflite", emulator=emulator).peak
        assert isinstance(peak, Metric)
        assert peak.source == source


def test_what_massif_cannot_tell() -> None:
    found = read(RECORDED, runtime_folder="/tflite", emulator=None)
    assert isinstance(found.fragmentation, Unavailable)
    assert isinstance(found.allocator_calls, Unavailable)


def test_no_callers_no_owners() -> None:
    found = read(EMPTY.format(size=9), runtime_folder="/x", emulator=None)
    assert (found.owners, found.sites_unavailable) == ((), "valgrind cannot follow calls through these libraries")


def test_nothing_at_all() -> None:
    assert read("x", runtime_folder="/x", emulator=None) == missing("massif's output has no time_unit line")
    assert read(EMPTY.format(size=0), runtime_folder="/x", emulator=None).peak == Unavailable(
        unavailable="massif saw no allocation at all: it could not hook the guest's allocator"
    )
