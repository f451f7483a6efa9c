"""massif's output: recorded files, each form of line, and files cut off, damaged or hostile."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import DataFileError
from sandbox.profilers.massif import AllocationSite, Frame, HeapSnapshot, parse_massif

DATA = Path(__file__).parents[2] / "data" / "massif"
#: An arm64 guest's, MobileNet with tflite-runtime under Python; some of its snapshots.
RECORDED = (DATA / "mobilenet_tflite_arm64.out").read_text()
#: A C program that allocates and ends without freeing.
WITHOUT_PEAK = (DATA / "no_peak_amd64.out").read_text()

HEADER = "desc: (none)\ncmd: ./program\ntime_unit: i\n"
ROOT = "(heap allocation functions) malloc/new/new[], --alloc-fns, etc."


def snapshot(number: int = 0, *, time: int = 0, heap: int = 0, extra: int = 0, tree: str = "heap_tree=empty") -> str:
    values = f"time={time}\nmem_heap_B={heap}\nmem_heap_extra_B={extra}\nmem_stacks_B=7777\n"
    return f"#-----------\nsnapshot={number}\n#-----------\n{values}{tree}\n"


def peak_of(*places: str) -> str:
    """A file whose peak has these sites, of 100 bytes each."""
    nodes = "".join(f"\n n0: 100 {place}" for place in places)
    tree = f"heap_tree=peak\nn{len(places)}: {100 * len(places)} {ROOT}{nodes}"
    return HEADER + snapshot(heap=100 * len(places), tree=tree)


def problem(text: str) -> str:
    with pytest.raises(DataFileError) as caught:
        parse_massif(text)
    assert caught.value.hint
    return caught.value.message


def test_recorded_run() -> None:
    profile = parse_massif(RECORDED)
    assert profile.peak_bytes == 7_964_836 + 136_196
    assert (profile.peak_time, profile.time_unit) == (347_447_373, "i")
    assert profile.snapshots[:2] == (
        HeapSnapshot(time=0, heap_bytes=0, extra_bytes=0),
        HeapSnapshot(time=4_442_443, heap_bytes=500_613, extra_bytes=1083),
    )
    assert len(profile.snapshots) == RECORDED.count("\nsnapshot=")


def test_sites_of_the_recorded_run_are_all_of_its_heap() -> None:
    profile = parse_massif(RECORDED)
    assert sum(site.bytes for site in profile.sites) == 7_964_836
    assert [site.bytes for site in profile.sites] == sorted((site.bytes for site in profile.sites), reverse=True)
    arena = "tflite::SimpleMemoryArena::Commit(TfLiteContext*, bool*)"
    runtime = "_pywrap_tensorflow_interpreter_wrapper.so"
    assert AllocationSite(library=runtime, function=arena, bytes=192_768) in profile.sites
    # whatever Python code allocated stays with the interpreter's allocator
    assert AllocationSite(library="python3.11", function="_PyCode_New", bytes=734_184) in profile.sites


def test_libraries_of_the_recorded_run() -> None:
    assert parse_massif(RECORDED).by_library == (
        ("python3.11", 6_032_939),
        ("_multiarray_umath.cpython-311-aarch64-linux-gnu.so", 1_228_800),
        ("_pywrap_tensorflow_interpreter_wrapper.so", 326_936),
        ("other", 190_747),
        ("libcrypto.so.3", 75_584),
        ("libstdc++.so.6.0.30", 72_704),
        ("rtld-malloc.h", 37_126),
    )


def test_without_a_peak_the_largest_snapshot_counts() -> None:
    profile = parse_massif(WITHOUT_PEAK)
    assert profile.peak_bytes == max(each.heap_bytes + each.extra_bytes for each in profile.snapshots) == 435_600
    assert (profile.sites, profile.by_library) == ((), ())


def test_the_peak_counts_even_below_a_larger_snapshot() -> None:
    peak = snapshot(1, time=5, heap=100, extra=1, tree=f"heap_tree=peak\nn0: 100 {ROOT}")
    profile = parse_massif(HEADER + peak + snapshot(2, time=6, heap=101))
    assert (profile.peak_bytes, profile.peak_time) == (101, 5)


def test_stacks_are_not_heap() -> None:
    assert parse_massif(HEADER + snapshot(heap=5, extra=3)).peak_bytes == 8


@pytest.mark.parametrize("unit", ["i", "ms", "B"])
def test_time_units(unit: str) -> None:
    text = HEADER.replace("time_unit: i", f"time_unit: {unit}") + snapshot()
    assert parse_massif(text).time_unit == unit


@pytest.mark.parametrize(
    ("place", "library", "function"),
    [
        ("0x54F0B3F: ??? (in /opt/tflite/_pywrap.so)", "_pywrap.so", "???"),
        ("0x54F0B3F: f(int, char) (in /usr/lib/x/libfoo.so.1.2)", "libfoo.so.1.2", "f(int, char)"),
        ("0x1: operator()(int) const::{lambda()#1} (in /a/b.so)", "b.so", "operator()(int) const::{lambda()#1}"),
        ("0x1: g (in /opt/my (old) libs/libg.so)", "libg.so", "g"),
        ("0x1: (below main) (libc_start_call_main.h:58)", "libc_start_call_main.h", "(below main)"),
        ("0x1: std::f<char (*)(int)> (vector.tcc:12)", "vector.tcc", "std::f<char (*)(int)>"),
        ("0x1: f (src/deep/file.c:9)", "file.c", "f"),
        ("0x4A: ???", "unknown", "???"),
        ("0x4A: jitted(int)", "unknown", "jitted(int)"),
        ("in 211 places, all below massif's threshold (0.30%)", "other", None),
        ("in 1 place, below massif's threshold (1.00%)", "other", None),
        ("something newer than this parser", "unknown", None),
    ],
)
def test_places(place: str, library: str, function: str | None) -> None:
    expected = AllocationSite(library=library, function=function or place, bytes=100)
    assert parse_massif(peak_of(place)).sites == (expected,)


def test_one_function_called_at_two_addresses_is_one_site() -> None:
    profile = parse_massif(peak_of("0x1: ??? (in /a/libx.so)", "0x2: f (in /b/liby.so)", "0x3: ??? (in /a/libx.so)"))
    assert profile.by_library == (("libx.so", 200), ("liby.so", 100))
    assert len(profile.sites) == 2


def test_equal_sizes_are_in_order_of_name() -> None:
    profile = parse_massif(peak_of("0x1: f (in /libb.so)", "0x1: g (in /liba.so)", "0x1: f (in /liba.so)"))
    assert [(site.library, site.function) for site in profile.sites] == [
        ("liba.so", "f"),
        ("liba.so", "g"),
        ("libb.so", "f"),
    ]


def test_chains_are_the_sites_with_their_callers() -> None:
    tree = (
        f"heap_tree=peak\nn2: 30 {ROOT}\n n2: 20 0x1: f (in /a.so)\n  n1: 15 0x2: g (in /b.so)\n"
        "   n0: 15 in 2 places, all below massif's threshold (0.30%)\n  n0: 5 0x3: h (src/h.c:9)\n n0: 10 0x4: ???"
    )
    chains = parse_massif(HEADER + snapshot(heap=30, tree=tree)).chains
    f, g, h = Frame(file="/a.so", function="f"), Frame(file="/b.so", function="g"), Frame(file="src/h.c", function="h")
    assert [(chain.frames, chain.bytes) for chain in chains] == [
        ((f, g), 15),
        ((f, h), 5),
        ((Frame(file="", function="???"),), 10),
    ]


def test_page_allocations_have_sites_too() -> None:
    tree = (
        "heap_tree=peak\nn2: 282624 (page allocation syscalls) mmap/mremap/brk, --alloc-fns, etc.\n"
        " n0: 278528 0x0: ???\n n0: 4096 0x401AB70: ??? (in /usr/lib/ld-linux.so.2)"
    )
    profile = parse_massif(HEADER + snapshot(heap=282_624, tree=tree))
    assert profile.by_library == (("unknown", 278_528), ("ld-linux.so.2", 4096))


def test_deep_tree_needs_no_recursion() -> None:
    depth = 5000
    nodes = "".join(f"\n{' ' * level}n1: 9 0x1: f (in /l.so)" for level in range(1, depth))
    tree = f"heap_tree=peak\nn1: 9 {ROOT}{nodes}\n{' ' * depth}n0: 9 0x1: f (in /l.so)"
    assert parse_massif(HEADER + snapshot(heap=9, tree=tree)).by_library == (("l.so", 9),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "massif's output has no time_unit line"),
        ("\x7fELF\0\0", "massif's output has no time_unit line"),
        (HEADER.replace(": i", ": fortnights"), "massif's output counts time in 'fortnights'"),
        (HEADER, "massif's output holds no snapshot"),
        (HEADER + snapshot(heap=5).replace("=5", "=-5"), "line 8: 'mem_heap_B=-5' is not mem_heap_B=<number>"),
        (HEADER + snapshot(heap=5).replace("=5", "=٥"), "line 8: 'mem_heap_B=٥' is not mem_heap_B=<number>"),
        (HEADER + snapshot(heap=5).replace("=5", "=" + "9" * 5000), "is not mem_heap_B=<number>"),
        (HEADER + snapshot().replace("mem_heap_extra_B", "other"), "line 9: 'other=0' is not mem_heap_extra_B=<num"),
        (HEADER + snapshot(tree="heap_tree=oak"), "line 11: 'heap_tree=oak' is not heap_tree=empty, detailed or peak"),
        (HEADER + snapshot(tree="heap_tree=empty\nmore"), "line 12: 'more' is not the end of the snapshot"),
        (HEADER + snapshot(tree="peak"), "line 11: 'peak' is not heap_tree=empty"),
        (HEADER + snapshot(tree=f"heap_tree=peak\nn0: {ROOT}"), "is not a line of the heap tree"),
        (HEADER + snapshot(tree=f"heap_tree=peak\nn0: 1 {ROOT}\n n0: 1 f"), "line 13: ' n0: 1 f' is not a line of"),
        (HEADER + snapshot(tree=f"heap_tree=peak\nn1: 1 {ROOT}\n  n0: 1 f"), "line 13: '  n0: 1 f' is not a line of"),
    ],
)
def test_damage_is_named_with_its_line(text: str, message: str) -> None:
    assert message in problem(text)


@pytest.mark.parametrize(
    "end",
    [
        "snapshot=96",
        "snapshot=96\n",
        "snapshot=96\n#-----------\n",
        "time=347447373\n",
        "mem_heap_extra_B=136196\n",
        "heap_tree=pe",
        "heap_tree=peak\n",
        "n31: 7964836",
        "\n n1: 1228800 0x545CB97",
        "\n#-----------\nsnapshot=97\n#-----------\n",
        "heap_tree=empty\n#-----------\n",
    ],
)
def test_cut_off_file(end: str) -> None:
    shortened = RECORDED[: RECORDED.index(end) + len(end)]
    assert problem(shortened) == f"massif's output is cut off after line {len(shortened.splitlines())}"


def test_cut_off_at_a_line_end_of_the_tree_names_the_last_line() -> None:
    whole = peak_of("0x1: f (in /a.so)", "0x2: g (in /b.so)")
    last = whole.count("\n")
    cut = whole[: whole.rindex(" n0")]
    assert problem(cut) == f"massif's output is cut off after line {last - 1}"


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(DataFileError):
        parse_massif(HEADER + text)
    with contextlib.suppress(DataFileError):
        parse_massif(text)


LINES = WITHOUT_PEAK.splitlines(keepends=True)
#: What the file is made of, and what looks like it.
PARTS = st.one_of(
    st.sampled_from(LINES),
    st.sampled_from(peak_of("0x1: f (in /a.so)", "in 2 places, below massif's threshold").splitlines(keepends=True)),
    st.builds(
        "{}n{}: {} {}\n".format,
        st.integers(0, 4).map(" ".__mul__),
        st.integers(0, 3),
        st.integers(0, 10**20),
        st.sampled_from(["0x1: ??? (in /a)", "0x1: ??? (in )", "0x1: (in /)", "0x: f (:1)", "in 1 place", "0x1: ("]),
    ),
    st.text(max_size=5),
)


@settings(max_examples=300)
@given(st.lists(PARTS, max_size=30))
def test_shuffled_lines_are_read_or_refused(parts: list[str]) -> None:
    try:
        profile = parse_massif(HEADER + snapshot(heap=1) + "".join(parts))
    except DataFileError:
        return
    assert profile.peak_bytes >= 0
    assert sum(size for _library, size in profile.by_library) == sum(site.bytes for site in profile.sites)


@given(st.integers(0, len(WITHOUT_PEAK) - 2))
def test_every_prefix_is_refused_or_whole_snapshots(length: int) -> None:
    whole = parse_massif(WITHOUT_PEAK)
    with contextlib.suppress(DataFileError):
        read = parse_massif(WITHOUT_PEAK[:length]).snapshots
        assert read == whole.snapshots[: len(read)]
