"""Reading ELF files: our own libraries for every machine, and damaged ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import native
from sandbox.compatibility.elf import libraries, offered, read_library, version_key
from sandbox.compatibility.facts import LibraryFacts
from sandbox.compatibility.wheel import read_wheel
from sandbox.errors import DataFileError

ARM64, ARMHF, AMD64 = (native.clock_library(machine) for machine in ("arm64", "armhf", "amd64"))


def test_what_a_library_needs() -> None:
    found = read_library(ARM64, "clock.so")
    assert (found.machine, found.python, found.numpy, found.arm) == ("arm64", None, None, None)
    assert "libc.so.6" in found.needed
    assert version_key(found.versions["GLIBC"]) <= version_key("2.17")  # what hatch_build.py compiles for
    assert found.alignment_bytes >= 4096
    assert not found.asks_kernel


def test_attributes_of_a_32_bit_library() -> None:
    arm = read_library(ARMHF, "clock.so").arm
    assert arm is not None
    assert arm.architecture == 10  # zig's arm is ARMv7-A
    assert arm.fpu is not None
    assert arm.fpu >= 3


def test_an_x86_library_holds_no_arm_code() -> None:
    found = read_library(AMD64, "clock.so")
    assert (found.machine, found.instructions) == ("amd64", ())


def test_the_suffix_of_an_extension_names_its_python() -> None:
    assert read_library(ARM64, "x/y.cpython-313-aarch64-linux-gnu.so").python == "3.13"
    assert read_library(ARM64, "x/y.abi3.so").python is None


def test_numpy_by_the_names_of_its_module(tmp_path: Path) -> None:
    old, new = tmp_path / "old.so", tmp_path / "new.so"
    old.write_bytes(ARM64.read_bytes() + b"numpy.core._multiarray_umath\0")
    new.write_bytes(ARM64.read_bytes() + b"numpy._core._multiarray_umath\0numpy.core._multiarray_umath\0getauxval\0")
    assert read_library(old, "old.so").numpy == "1"
    assert read_library(new, "new.so").numpy == "1 or 2"
    assert read_library(new, "new.so").asks_kernel


def test_what_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "script.so").write_text("GROUP ( /lib/libc.so.6 )")
    (tmp_path / "real.so.1").write_bytes(ARM64.read_bytes())
    (tmp_path / "link.so").symlink_to("real.so.1")
    assert [path.name for path in libraries(tmp_path)] == ["real.so.1"]
    versions, sonames = offered([tmp_path, tmp_path / "none"])
    assert sonames == {"script.so", "link.so"} | {"real.so.1"}
    assert versions == {}
    with pytest.raises(DataFileError, match=r"script\.so: a damaged ELF file"):
        read_library(tmp_path / "script.so", "script.so")
    foreign = bytearray(ARM64.read_bytes())
    foreign[18] = 243  # EM_RISCV
    (tmp_path / "riscv.so").write_bytes(foreign)
    with pytest.raises(DataFileError, match="neither Arm nor x86-64"):
        read_library(tmp_path / "riscv.so", "riscv.so")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 200_000), st.binary(min_size=1, max_size=8)), max_size=6), st.integers(0, 300_000)
)
def test_damaged_files_are_refused_or_read(tmp_path: Path, changes: list[tuple[int, bytes]], length: int) -> None:
    for source in (ARM64, ARMHF):
        content = bytearray(source.read_bytes()[: max(length, 64)])
        for place, data in changes:
            at = place % len(content)
            content[at : at + len(data)] = data
        path = tmp_path / "damaged.so"
        path.write_bytes(content)
        try:
            found: object = read_library(path, "damaged.so")
        except DataFileError as error:
            found = error
        assert isinstance(found, LibraryFacts) or "damaged.so" in str(found)


def test_a_wheel_and_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x-1.0.dist-info/METADATA", "Name: x\nRequires-Dist: numpy>=1.23.2\n")
        archive.write(ARM64, "x/../../outside.so")
        archive.writestr("x/notes.so.txt", "no library")
    facts = read_wheel(path, filename=path.name, runtime="x", version="1.0", recorded="2026-11-21")
    assert facts.requires == ("numpy>=1.23.2",)
    assert [library.machine for library in facts.libraries] == ["arm64"]
    assert not (tmp_path.parent / "outside.so").exists()
    for content in (b"", b"PK\x03\x04 cut", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(DataFileError, match="not a whole wheel"):
            read_wheel(path, filename=path.name, runtime="x", version="1.0", recorded="2026-11-21")
