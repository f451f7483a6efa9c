"""What a TFLM library is said to be, and why one is refused; nothing is compiled here."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import DataFileError, UsageError
from sandbox.microcontroller.archive import archive_members
from sandbox.microcontroller.board import Cpu
from sandbox.microcontroller.tflm import files_in, find_library, parse_operators, remember, remembered
from tests.unit.microcontroller.elf_files import EM_386, attributes, elf_file

HEADERS = Path(__file__).parents[2] / "firmware" / "stand_in_tflm" / "include"
M4 = Cpu(core="cortex-m4", fpu="single", dsp=True, mve="none", clock_hz=1_000_000)
SYMBOLS = b"_ZN6tflite16MicroInterpreter6InvokeEv\0_ZN6tflite16Register_CONV_2DEv\0"


def archive(*members: tuple[str, bytes]) -> bytes:
    found = b"!<arch>\n"
    for name, content in members:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode()
        found += header + content + b"\n" * (len(content) % 2)
    return found


def folder(tmp_path: Path, content: bytes | None) -> Path:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "include").symlink_to(HEADERS)
    for header in HEADERS.rglob("*.h"):
        copy = tmp_path / "headers" / header.relative_to(HEADERS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(header.read_bytes())
    if content is not None:
        (tmp_path / "libtflm.a").write_bytes(content)
    return tmp_path


def library(build: bytes, symbols: bytes = SYMBOLS) -> bytes:
    return archive(("/", symbols), ("a.o/", elf_file(build=build)))


def test_a_library_is_described(tmp_path: Path) -> None:
    found = find_library(folder(tmp_path, library(attributes(13))), M4)
    assert (found.architecture, found.float_abi, found.kernels) == ("v7E-M", "hard", "reference")
    assert [operator.name for operator in found.operators] == ["CONV_2D"]
    assert found.lacking == ("TILE", "SPLIT")
    assert found.log_has_arguments
    assert len(found.version) == len("library ") + 12


def test_links_to_folders_are_followed_and_go_round_at_most_once(tmp_path: Path) -> None:
    there = folder(tmp_path / "there", library(attributes(13)))
    here = tmp_path / "here"
    here.mkdir()
    (here / "include").symlink_to(there / "headers")
    (here / "again").symlink_to(there)
    (here / "up").symlink_to(tmp_path)
    found = find_library(here, M4)
    assert found.includes == (here / "include",)
    assert found.archive == here / "again" / "libtflm.a"
    assert len(files_in(here)) < 100


def test_cmsis_nn_is_seen_by_its_functions(tmp_path: Path) -> None:
    symbols = SYMBOLS + b"arm_convolve_wrapper_s8\0"
    assert find_library(folder(tmp_path, library(attributes(13), symbols)), M4).kernels == "cmsis-nn"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (library(attributes(21)), "it is for Armv8.1-M.main, which a cortex-m4 does not run"),
        (archive(("/", SYMBOLS), ("a.o/", elf_file(machine=EM_386))), "it is for 386, not for ARM"),
        (archive(("/", b""), ("a.o/", elf_file())), "it does not hold tflite::MicroInterpreter"),
        (archive(("/", SYMBOLS)), "it holds no object files"),
        (b"junk", "it is no static library"),
        (b"!<thin>\n", "it is a thin archive"),
        (library(attributes(13))[:-20], "it is cut short"),
        (archive(("/", SYMBOLS), ("a.o/", elf_file()[:20])), "its objects are damaged"),
    ],
)
def test_a_library_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataFileError) as caught:
        find_library(folder(tmp_path, content), M4)
    assert f"libtflm.a: {words}" in caught.value.message


def test_a_hard_float_library_for_a_core_without_fpu(tmp_path: Path) -> None:
    soft = Cpu(core="cortex-m4", fpu="none", dsp=True, mve="none", clock_hz=1_000_000)
    with pytest.raises(DataFileError, match="hard-float ABI, and the cortex-m4 of this board has no FPU"):
        find_library(folder(tmp_path, library(attributes(13))), soft)


def test_a_library_without_kernels(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="holds none of TFLM's kernels"):
        find_library(folder(tmp_path, library(attributes(13), b"_ZN6tflite16MicroInterpreter6InvokeEv\0")), M4)


def test_folders_that_are_none_of_tflms(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        find_library(tmp_path / "nothing", M4)
    with pytest.raises(UsageError, match=r"the header \S+ is not in it"):
        find_library(tmp_path, M4)
    with pytest.raises(UsageError, match="there is no static library"):
        find_library(folder(tmp_path, None), M4)


def test_operators_are_read_from_the_header() -> None:
    header = """
      TfLiteStatus AddAbs(const TFLMRegistration& registration = Register_ABS()) {
        return AddBuiltin(BuiltinOperator_ABS, registration, ParseAbs);
      }
      TfLiteStatus AddRfft(const TFLMRegistration* registration = tflite::tflm_signal::Register_RFFT()) {
        return AddCustom("SignalRfft", registration);
      }
      TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) { return kTfLiteOk; }
    """
    assert [(one.method, one.name, one.registers) for one in parse_operators(header)] == [
        ("AddAbs", "ABS", ("Register_ABS",)),
        ("AddRfft", "SignalRfft", ("Register_RFFT",)),
    ]


def test_the_folder_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGE_SANDBOX_TFLM", raising=False)
    assert remembered() is None
    remember(tmp_path)
    assert remembered() == tmp_path
    monkeypatch.setenv("EDGE_SANDBOX_TFLM", "/elsewhere")
    assert remembered() == Path("/elsewhere")


@given(st.binary(max_size=200))
def test_junk_is_no_archive(content: bytes) -> None:
    try:
        list(archive_members(b"!<arch>\n" + content))
    except ValueError as error:
        assert str(error).startswith("it is ")  # noqa: PT017  # any other exception fails the test
