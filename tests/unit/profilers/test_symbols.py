"""Guest addresses → functions and libraries, with small ELF files made on the spot."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandbox import rundir
from sandbox.measurements import Code
from sandbox.profilers.symbols import UNKNOWN, Symbols, describe_code, library_of, readable
from tests.unit.profilers.count_files import INFERENCE, block, delta

CODE_ADDRESS, CODE_OFFSET, CODE_SIZE = 0x11000, 0x1000, 0x400
"""Where the code segment of the files made here is: in memory less the base, and in the file."""

Symbol = tuple[str, int, int, int, int]
"""Name, address, size, type (2 a function, 0 none, 1 data), section."""


def function(name: str, address: int, size: int = 0x10, *, kind: int = 2, section: int = 1) -> Symbol:
    return (name, address, size, kind, section)


def elf(symbols: Sequence[Symbol] = (), *, wide: bool = True, table: str | None = ".symtab") -> bytes:
    """A file with a data segment, a code segment, and a table of symbols unless that is None."""
    strings, entries = b"\0", bytes(24 if wide else 16)
    for name, address, size, kind, section in symbols:
        if wide:
            entries += struct.pack("<IBBHQQ", len(strings), kind, 0, section, address, size)
        else:
            entries += struct.pack("<IIIBBH", len(strings), address, size, kind, 0, section)
        strings += name.encode() + b"\0"
    names = b"\0.text\0.strtab\0.shstrtab\0" + (table or "").encode() + b"\0"
    tables = CODE_OFFSET + CODE_SIZE
    places = [tables, tables + len(entries), tables + len(entries) + len(strings)]
    headers = places[2] + len(names)
    sections = [
        (0, 0, 0, 0, 0, 0, 0),
        (names.index(b".text"), 1, CODE_ADDRESS, CODE_OFFSET, CODE_SIZE, 0, 0),
        (names.index(b".strtab"), 3, 0, places[1], len(strings), 0, 0),
        (names.index(b".shstrtab"), 3, 0, places[2], len(names), 0, 0),
    ]
    if table is not None:
        kind = 2 if table == ".symtab" else 11
        sections.append((names.index(table.encode()), kind, 0, places[0], len(entries), 2, 24 if wide else 16))
    word, head, segment = ("Q", 64, 56) if wide else ("I", 52, 32)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    sizes = (head, segment, 2, 64 if wide else 40, len(sections), 3)
    content = ident + struct.pack(f"<HHI3{word}I6H", 3, 183 if wide else 40, 1, 0, head, headers, 0, *sizes)
    for flags, address, offset, size in ((4, 0, 0, CODE_OFFSET), (5, CODE_ADDRESS, CODE_OFFSET, CODE_SIZE)):
        if wide:
            content += struct.pack("<II6Q", 1, flags, offset, address, address, size, size, 4096)
        else:
            content += struct.pack("<8I", 1, offset, address, address, size, size, flags, 4096)
    content = content.ljust(CODE_OFFSET, b"\0") + bytes(CODE_SIZE) + entries + strings + names
    for name_at, kind, address, offset, size, link, entry in sections:
        content += struct.pack(f"<II4{word}II2{word}", name_at, kind, 0, address, offset, size, link, 0, 1, entry)
    return content


SYMBOLS = (
    function("_ZN3ruy4PackEPKfi", 0x11020, 0x20),
    function("xnn_f32_gemm_minmax_ukernel_6x8__asm_aarch64_neonfma_cortex_a75", 0x11040, 0x40),
    function("after_a_gap", 0x11100, 8),
    function("without_a_size", 0x11200, 0, kind=0),
    function("$x", 0x11208, 0, kind=0),
    function("$d.7", 0x11300, 0, kind=0),
    function("a_table_in_the_code", 0x11048, 4, kind=1),
    function("not_here", 0x11310, 4, section=0),
    function("not_in_the_code", 0x100, 4),
    function("the_last", 0x11380, 0, kind=0),
)


def mapped(path: str, *, base: int = 0x5500000000) -> str:
    """Lines of /proc/self/maps for a file made here, its code in pages of 4096 bytes."""
    start = base + CODE_ADDRESS
    return (
        f"{base:x}-{base + 0x1000:x} r--p 00000000 fd:00 1234                    {path}\n"
        f"{start:x}-{start + 0x1000:x} r-xp 00001000 fd:00 1234                    {path}\n"
        f"{start + 0x1000:x}-{start + 0x2000:x} rw-p 00002000 00:00 0\n"
    )


def symbols_of(root: Path, content: bytes, *, path: str = "/opt/lib/libkernels.so.1") -> Symbols:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return Symbols(mapped(path), root)


BASE = 0x5500000000
FILE = "libkernels.so.1"


@pytest.mark.parametrize("table", [".symtab", ".dynsym"])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(
    "expected",
    [
        (0x11000, None, FILE),
        (0x1101F, None, FILE),
        (0x11020, "ruy::Pack", "ruy"),
        (0x1103F, "ruy::Pack", "ruy"),
        (0x11040, SYMBOLS[1][0], "XNNPACK"),
        (0x1104A, SYMBOLS[1][0], "XNNPACK"),
        (0x1107F, SYMBOLS[1][0], "XNNPACK"),
        (0x11080, None, FILE),
        (0x11107, "after_a_gap", FILE),
        (0x11108, None, FILE),
        (0x11200, "without_a_size", FILE),
        (0x1137F, "without_a_size", FILE),
        (0x11380, "the_last", FILE),
        (0x11FFF, "the_last", FILE),
    ],
)
def test_functions(tmp_path: Path, expected: tuple[int, str | None, str], wide: bool, table: str) -> None:
    address, name, library = expected
    symbols = symbols_of(tmp_path, elf(SYMBOLS, wide=wide, table=table))
    assert symbols.code(BASE + address) == Code(function=name, library=library, place=f"{FILE}+{address - 0x10000:x}")


def test_thumb_functions_begin_at_an_even_address(tmp_path: Path) -> None:
    symbols = symbols_of(tmp_path, elf([function("thumb", 0x11021, 4)], wide=False))
    assert [symbols.code(BASE + 0x11020 + n).function for n in (-1, 0, 3, 4)] == [None, "thumb", "thumb", None]


def test_a_library_without_symbols_is_told_by_its_file(tmp_path: Path) -> None:
    found = symbols_of(tmp_path, elf(table=None)).code(BASE + 0x11040)
    assert found == Code(function=None, library=FILE, place=f"{FILE}+1040")


def test_a_place_does_not_depend_on_where_the_file_was_mapped(tmp_path: Path) -> None:
    here = symbols_of(tmp_path, elf(SYMBOLS)).code(BASE + 0x11044)
    there = Symbols(mapped("/opt/lib/libkernels.so.1", base=0x7F0000000000), tmp_path).code(0x7F0000011044)
    assert here == there


@pytest.mark.parametrize("address", [0, BASE - 1, BASE + 0x11FFF + 1, BASE + 0x10FFF, BASE + 0x13000, 2**64 - 1])
def test_code_that_no_file_holds(tmp_path: Path, address: int) -> None:
    """Outside of all mappings, in one that is not executable, in one that the guest made itself."""
    assert symbols_of(tmp_path, elf(SYMBOLS)).code(address) == Code(
        function=None, library=UNKNOWN, place=f"{address:x}"
    )


def test_code_behind_read_only_data_that_qemu_shows_as_one_part(tmp_path: Path) -> None:
    symbols_of(tmp_path, elf(SYMBOLS))
    maps = mapped("/opt/lib/libkernels.so.1").replace(" r-xp ", " r--p ")
    assert Symbols(maps, tmp_path).code(BASE + 0x11040).library == "XNNPACK"


def test_lines_that_are_no_mapping_of_a_file_are_left_out(tmp_path: Path) -> None:
    garbage = [
        "", "\0", "x" * 10_000, "1000-2000 r-xp", "1000-2000 r-xp 0 00:00 0 [vdso]", "-2000 r-xp 0 0:0 0 /a",
        f"{'f' * 17}-{'f' * 17} r-xp 00000000 fd:00 1 /too/large", "1000-2000 rw-p 00000000 fd:00 1 /not/code",
        "1000–2000 r-xp 00000000 fd:00 1 /a", "2000-1000 r-xp 00000000 fd:00 1 /backwards",
    ]  # fmt: skip
    maps = "\n".join([*garbage, mapped("/opt/lib/libkernels.so.1")])
    symbols_of(tmp_path, elf(SYMBOLS))
    symbols = Symbols(maps, tmp_path)
    assert symbols.code(BASE + 0x11040).library == "XNNPACK"
    assert symbols.code(0x1800).library == UNKNOWN


@pytest.mark.parametrize(
    "path",
    [
        "/opt/gone.so",
        "/opt",
        "/opt/../../secret.so",
        "/opt/link.so",
        "/opt/up.so",
        "/opt/" + "x" * 300,
        "/opt/" + "x/" * 3000 + "y",
        "/opt/nul\0byte.so",
        "/opt/lib/libkernels.so.1 (deleted)",
    ],
)
def test_a_path_of_the_guest_leads_nowhere_else(tmp_path: Path, path: str) -> None:
    """The guest can map what it likes; only files of the image are opened."""
    (tmp_path / "secret.so").write_bytes(elf([function("secret", CODE_ADDRESS)]))
    root = tmp_path / "root"
    symbols_of(root, elf(SYMBOLS))
    (root / "opt/link.so").symlink_to(tmp_path / "secret.so")
    (root / "opt/up.so").symlink_to("../../secret.so")
    found = Symbols(mapped(path), root).code(BASE + CODE_ADDRESS)
    assert found == Code(function=None, library=Path(path).name, place=f"{Path(path).name}+1000")


def test_without_isolation_the_guest_sees_the_image_where_it_is(tmp_path: Path) -> None:
    symbols_of(tmp_path, elf(SYMBOLS))
    seen = Symbols(mapped(f"{tmp_path}/opt/lib/libkernels.so.1"), tmp_path)
    assert seen.code(BASE + 0x11040).library == "XNNPACK"


GOOD = elf(SYMBOLS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@example(content=GOOD[:5881] + bytes([39]) + GOOD[5882:])  # a section of more bytes than there is memory
@given(
    content=st.binary(max_size=100)
    | st.integers(0, len(GOOD)).map(lambda end: GOOD[:end])
    | st.tuples(st.integers(0, 175), st.integers(0, 255)).map(
        lambda change: GOOD[: change[0]] + bytes([change[1]]) + GOOD[change[0] + 1 :]
    )
    | st.tuples(st.integers(CODE_OFFSET + CODE_SIZE, len(GOOD) - 1), st.integers(0, 255)).map(
        lambda change: GOOD[: change[0]] + bytes([change[1]]) + GOOD[change[0] + 1 :]
    )
)
def test_a_damaged_library_has_fewer_symbols(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "damaged.so").write_bytes(content)
    found = Symbols(mapped("/damaged.so"), tmp_path).code(BASE + 0x11040)
    assert found.library in {"damaged.so", "XNNPACK", "ruy"}


@pytest.mark.parametrize(
    ("name", "library"),
    [
        (None, None),
        ("", None),
        ("memcpy", None),
        ("xnn_qs8_qc8w_gemm_minmax_fp32_ukernel_4x8c4__asm_aarch32_neondot_cortex_a55", "XNNPACK"),
        ("xnn_invoke_runtime", "XNNPACK"),
        ("pthreadpool_parallelize_2d_tile_2d", "pthreadpool"),
        ("_ZN3ruy15KernelFloatNeonERKNS_17KernelParamsFloatILi8ELi8EEE", "ruy"),
        ("_ZNK3ruy3Ctx20performance_advisoryENS_19PerformanceAdvisoryE", "ruy"),
        ("_ZN8gemmlowp39NEON_64bit_GEMM_Int8Operands_LhsNonzero3RunEPiPKaS3_iii", "gemmlowp"),
        ("_ZN5Eigen8internal19gemv_dense_selectorILi2ELi1ELb1EE3runEv", "Eigen"),
        ("_ZN14EigenForTFLite16ThreadPoolDevice5waitEv", "Eigen"),
        ("MlasGemmFloatKernel", "MLAS"),
        ("MlasConvDepthwiseKernelNeon", "MLAS"),
        ("_Z15MlasGemmQuantU8P20MLAS_GEMM_U8X8_SHAPE", "MLAS"),
        ("_ZN11onnxruntime4ConvIfE7ComputeEPNS_15OpKernelContextE", "ONNX Runtime"),
        ("_ZN6tflite13reference_ops4ConvERKNS_10ConvParamsE", "TFLite reference kernels"),
        ("_ZN6tflite21reference_integer_ops14ConvPerChannelERKNS_10ConvParamsE", "TFLite reference kernels"),
        ("_ZN6tflite13optimized_ops6Im2colIaEEvRKNS_10ConvParamsE", "TFLite optimised kernels"),
        ("_ZN6tflite21optimized_integer_ops14ConvPerChannelERKNS_10ConvParamsE", "TFLite optimised kernels"),
        ("_ZN6tflite12tensor_utils30NeonMatrixBatchVectorMultiplyAPKaii", "TFLite optimised kernels"),
        ("_ZN6tflite3ops7builtin14depthwise_conv4EvalEP13TfLiteContextP10TfLiteNode", "TFLite optimised kernels"),
        ("_ZN6tflite3ops7builtin6conv4EvalEP13TfLiteContextP10TfLiteNode", "TFLite"),
        ("_ZN6tflite8Subgraph6InvokeEv", "TFLite"),
        ("cpuinfo_get_current_uarch_index_with_default", "cpuinfo"),
        ("_PyEval_EvalFrameDefault", "Python"),
        ("PyObject_Call", "Python"),
    ],
)
def test_kernel_libraries_by_name(name: str | None, library: str | None) -> None:
    assert library_of(name) == library


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("_ZN6tflite8internal8sparsity15FormatConverterIN5Eigen4halfEE7GetDataEv", "TFLite"),
        ("_ZN6tflite43log_x_for_x_greater_than_or_equal_to_1_implILi5ELi12EEEN8gemmlowp10FixedPointIiXT_EEE", "TFLite"),
        ("_ZN6tflite13optimized_ops3AddIN5Eigen4halfEEEvv", "TFLite optimised kernels"),
        ("_ZN11onnxruntime5UtilsIN5Eigen4halfEEEvv", "ONNX Runtime"),
        ("_ZN3ruy4PackIN5Eigen4halfEEEvv", "ruy"),
        ("_ZN6tflite9CpuKernelIN3ruy6MatrixIfEEEEvv", "TFLite"),
    ],
)
def test_a_type_of_another_library_makes_no_function_of_it(name: str, library: str) -> None:
    assert library_of(name) == library


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("memcpy", "memcpy"),
        ("_ZN3ruy4PackEPKfi", "ruy::Pack"),
        ("_ZNK3ruy3Ctx20performance_advisoryENS_19PerformanceAdvisoryE", "ruy::Ctx::performance_advisory"),
        ("_ZN6tflite13optimized_ops6Im2colIaEEvRKNS_10ConvParamsE", "tflite::optimized_ops::Im2col"),
        ("_ZN3ruy12_GLOBAL__N_16DetectEv", "ruy::(anonymous)::Detect"),
        ("_Z8MlasGemmv", "MlasGemm"),
        ("_ZNSt6vectorIfSaIfEE9push_backEv", "vector"),
        ("_ZSt4sortv", "sort"),
        ("_ZTVN3ruy3CtxE", "_ZTVN3ruy3CtxE"),
        ("_ZN", "_ZN"),
        ("_ZN9999short", "short"),
        ("_ZN0", ""),
        ("", ""),
    ],
)
def test_names_for_people(name: str, shown: str) -> None:
    assert readable(name) == shown


@given(st.text() | st.from_regex(r"_ZN?K?(\d{1,6}\w{0,5}){0,4}", fullmatch=True))
def test_any_name(name: str) -> None:
    assert isinstance(readable(name), str)
    library_of(name)


# code.json


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job that ran at an address of a file of the image, and at one of none."""
    folder = tmp_path / "operators"
    (folder / "counts").mkdir(parents=True)
    marks = block(0, BASE + 0x11024, integer=1) + block(1, 0x9000, branch=1)
    (folder / "counts" / "7.marks").write_bytes(marks + delta((0, 0, 1), (1, 0, 1), token=INFERENCE))
    (folder / "maps.txt").write_text(mapped("/opt/lib/libkernels.so.1"))
    symbols_of(tmp_path / "root", elf(SYMBOLS))
    return folder


NAMED = {
    BASE + 0x11024: Code(function="ruy::Pack", library="ruy", place=f"{FILE}+1024"),
    0x9000: Code(function=None, library=UNKNOWN, place="9000"),
}


def test_what_its_code_is_is_kept_with_the_job(job: Path, tmp_path: Path) -> None:
    describe_code(job, {"pid": 7}, tmp_path / "root")
    assert json.loads((job / "code.json").read_text()) == {
        "5500011024": ["ruy::Pack", "ruy", f"{FILE}+1024"],
        "9000": [None, "unknown", "9000"],
    }
    assert rundir.read_code(job) == NAMED


def test_what_the_guest_left_in_the_place_is_replaced(job: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (job / "code.json").symlink_to(victim)
    describe_code(job, {"pid": 7}, tmp_path / "root")
    assert victim.read_text() == "kept"
    assert rundir.read_code(job) == NAMED
    (job / "code.json").unlink()
    (job / "code.json" / "folder").mkdir(parents=True)
    describe_code(job, {"pid": 7}, tmp_path / "root")
    assert rundir.read_code(job) == NAMED


@pytest.mark.parametrize("missing", ["maps.txt", "counts/7.marks"])
def test_nothing_is_named_where_nothing_was_counted_or_mapped(job: Path, tmp_path: Path, missing: str) -> None:
    (job / missing).unlink()
    describe_code(job, {"pid": 7}, tmp_path / "root")
    assert not (job / "code.json").exists()
    assert rundir.read_code(job) == {}


def test_maps_that_lead_to_the_host_are_not_read(job: Path, tmp_path: Path) -> None:
    (job / "maps.txt").rename(tmp_path / "maps.txt")
    (job / "maps.txt").symlink_to(tmp_path / "maps.txt")
    describe_code(job, {"pid": 7}, tmp_path / "root")
    assert not (job / "code.json").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200))
def test_whatever_maps_the_guest_writes(job: Path, tmp_path: Path, content: bytes) -> None:
    (job / "maps.txt").write_bytes(content)
    describe_code(job, {"pid": 7}, tmp_path / "root")
    assert set(rundir.read_code(job)) == set(NAMED)
