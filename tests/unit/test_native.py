"""The native parts: where they are, that they are of these sources, and what a wheel brings."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection

import hatch_build
from sandbox import native, resources
from sandbox.errors import HostError
from sandbox.resources import data_directory

PROJECT = Path(__file__).parents[2]
MACHINES = {"amd64": "EM_X86_64", "arm64": "EM_AARCH64", "armhf": "EM_ARM"}
PLUGIN_EXPORTS = {"qemu_plugin_install", "qemu_plugin_version"}
REPLACED = {"clock": {"clock_gettime", "gettimeofday", "time"}, "fault": {"sigaction", "signal"}}


@dataclass(frozen=True, kw_only=True)
class Elf:
    """What a loader reads in a shared library."""

    machine: str
    flags: int
    exports: frozenset[str]
    free: frozenset[str]
    """Symbols that any object of the process may bring; those of glibc have a version."""
    versions: frozenset[str]
    sections: frozenset[str]


def read_elf(content: bytes) -> Elf:
    elf = ELFFile(BytesIO(content))
    symbols, versions = elf.get_section_by_name(".dynsym"), elf.get_section_by_name(".gnu.version")
    needs = elf.get_section_by_name(".gnu.version_r")
    assert isinstance(symbols, SymbolTableSection)
    assert isinstance(versions, GNUVerSymSection)
    assert isinstance(needs, GNUVerNeedSection)
    named = [(i, symbol) for i, symbol in enumerate(symbols.iter_symbols()) if symbol.name]
    undefined = [(i, symbol) for i, symbol in named if symbol["st_shndx"] == "SHN_UNDEF"]
    versioned = {i for i, _symbol in undefined if isinstance(versions.get_symbol(i)["ndx"], int)}
    return Elf(
        machine=elf["e_machine"],
        flags=elf["e_flags"],
        exports=frozenset(symbol.name for _i, symbol in named if symbol["st_shndx"] != "SHN_UNDEF"),
        free=frozenset(s.name for i, s in undefined if i not in versioned and s["st_info"]["bind"] != "STB_WEAK"),
        versions=frozenset(aux.name for _need, auxiliaries in needs.iter_versions() for aux in auxiliaries),
        sections=frozenset(section.name for section in elf.iter_sections()),
    )


def test_the_parts_lie_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    folder = tmp_path / "_data/native"
    folder.mkdir(parents=True)
    for part in hatch_build.PARTS:
        (folder / part.name).touch()
    assert native.plugin("amd64") == folder / "plugin-amd64.so"
    assert native.plugin("arm64") == folder / "plugin-arm64.so"
    assert native.clock_library("armhf") == folder / "clock-armhf.so"
    assert native.fault_library("arm64") == folder / "fault-arm64.so"


@pytest.mark.parametrize("folder_is_there", [True, False])
def test_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, folder_is_there: bool) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "sandbox")
    if folder_is_there:
        (tmp_path / "sandbox/_data/native").mkdir(parents=True)
    for lookup in (native.plugin, native.probe, native.clock_library, native.fault_library):
        with pytest.raises(HostError, match="native parts were not built") as caught:
            lookup("arm64")
        assert "pip install" in str(caught.value)


def test_this_checkout_runs_what_its_sources_say() -> None:
    found = data_directory("native") / hatch_build.DIGEST
    expected = hatch_build.sources_digest(PROJECT, version("ziglang"))
    assert found.is_file(), "the native parts were not built: pip install -e '.[dev]'"
    assert found.read_text().strip() == expected, "the C files changed: pip install -e '.[dev]' (or hatch_build.py)"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A project with nothing but C files that do next to nothing."""
    for kind in ("plugin", "probe", "clock", "fault"):
        (tmp_path / "images" / kind).mkdir(parents=True)
        (tmp_path / "images" / kind / "part.c").write_text('#include "part.h"\nint part(void) { return PART; }\n')
        (tmp_path / "images" / kind / "part.h").write_text("#define PART 1\n")
    return tmp_path


def test_the_digest_is_over_all_that_decides(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {hatch_build.sources_digest(sources, "1"), hatch_build.sources_digest(sources, "2")}
    for change in ("plugin/part.c", "plugin/part.h", "clock/part.h", "clock/new.c"):
        (sources / "images" / change).write_text("#define PART 2\n")
        seen.add(hatch_build.sources_digest(sources, "1"))
    monkeypatch.setattr(hatch_build, "_FLAGS", ("-O3",))
    seen.add(hatch_build.sources_digest(sources, "1"))
    assert len(seen) == 7
    moved = sources / "elsewhere"
    shutil.copytree(sources / "images", moved / "images")
    assert hatch_build.sources_digest(moved, "1") in seen


def test_nothing_is_compiled_twice(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def compiling(part: hatch_build.Part, _root: Path, work: Path, *_more: object) -> None:
        compiled.append(part.name)
        (work / part.name).touch()

    monkeypatch.setattr(hatch_build, "_compile", compiling)
    folder = sources / hatch_build.NATIVE
    names = sorted(part.name for part in hatch_build.PARTS)
    for _time in range(2):
        hatch_build.build(sources, folder)
        assert sorted(compiled) == names
        assert sorted(path.name for path in folder.iterdir()) == [*names, hatch_build.DIGEST]
    (folder / "clock-armhf.so").unlink()
    hatch_build.build(sources, folder)
    assert len(compiled) == 2 * len(names)


def test_half_a_checkout(sources: Path) -> None:
    (sources / "images/clock/part.c").unlink()
    with pytest.raises(hatch_build.BuildError, match="images/clock has no C files"):
        hatch_build.build(sources, sources / "out")


def test_no_room(sources: Path) -> None:
    (sources / "out").touch()
    with pytest.raises(hatch_build.BuildError, match=r"cannot build the native parts: .*/out: File exists"):
        hatch_build.build(sources, sources / "out")


def test_without_the_compiler(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(hatch_build.BuildError, match="ziglang, which is not installed"):
        hatch_build.build(sources, sources / "out")


@pytest.fixture(scope="module")
def zig_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What zig keeps of glibc for its targets, so that it is made once and not by every test."""
    return tmp_path_factory.mktemp("zig")


@pytest.mark.subprocess
def test_a_wrong_program_is_named(sources: Path, zig_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(zig_cache))
    (sources / "images/clock/part.c").write_text("int part(int unused) { return 1; }\n")
    with pytest.raises(hatch_build.BuildError, match=r"clock-arm64\.so cannot be(.|\n)*part\.c:1:14: error: unused"):
        hatch_build.build(sources, sources / "out")
    assert not list((sources / "out").iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, zig_cache: Path) -> Path:
    """The wheel, made from a source distribution, made from a copy of this tree: the long way round."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("sandbox", "images", "device_specs", "calibration", "compatibility"):
        shutil.copytree(PROJECT / name, folder / "tree" / name, ignore=shutil.ignore_patterns("__pycache__", "_data"))
    for name in (".gitignore", "LICENSE", "README.md", "hatch_build.py", "pyproject.toml"):
        shutil.copyfile(PROJECT / name, folder / "tree" / name)
    # no home and no include path of the user's takes part
    environment = {"HOME": "/nonexistent", "CPATH": "/nonexistent", "ZIG_GLOBAL_CACHE_DIR": str(zig_cache)}
    python(folder / "tree", "-c", "from hatchling import build; build.build_sdist('..')", environment=environment)
    (source,) = folder.glob("*.tar.gz")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir=.")
    python(folder, "-m", "pip", "wheel", *options, f"./{source.name}", environment=environment)
    (made,) = folder.glob("*.whl")
    return made


def python(folder: Path, *arguments: str, environment: Mapping[str, str]) -> None:
    argv = [sys.executable, *arguments]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.subprocess
def test_a_wheel_brings_them(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    prefix = f"{hatch_build.NATIVE}/"
    parts = {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}
    assert parts.keys() == {part.name for part in hatch_build.PARTS} | {hatch_build.DIGEST}
    assert {"sandbox/native.py", "sandbox/_data/images/emulator-amd64/lock.json"} <= files.keys()
    digest = hatch_build.sources_digest(PROJECT, version("ziglang"))
    assert parts.pop(hatch_build.DIGEST).decode().strip() == digest
    check_parts(parts)
    built = data_directory("native")
    if (built / hatch_build.DIGEST).read_text().strip() == digest:
        assert {name: (built / name).read_bytes() for name in parts} == parts  # the same bytes from another folder


def check_parts(parts: Mapping[str, bytes]) -> None:
    for name, content in parts.items():
        kind, _, architecture = name.removesuffix(".so").partition("-")
        elf = read_elf(content)
        assert elf.machine == MACHINES[architecture], name
        assert (elf.flags & 0x400 == 0x400) == (architecture == "armhf"), name  # EF_ARM_ABI_FLOAT_HARD
        newest = max(tuple(int(number) for number in v.removeprefix("GLIBC_").split(".")) for v in elf.versions)
        assert newest <= (2, 17), f"{name} needs {sorted(elf.versions)}"
        assert not [s for s in elf.sections if s.startswith((".debug", ".symtab", ".note.gnu.build-id"))], name
        assert len(content) < 100_000, name
        if kind in {"plugin", "probe"}:
            assert elf.exports == PLUGIN_EXPORTS
            # the linker lets any symbol pass that QEMU might have
            assert not [symbol for symbol in elf.free if not symbol.startswith("qemu_plugin_")]
        else:
            assert elf.exports >= REPLACED[kind], name
            if platform.libc_ver() >= ("glibc", "2.36"):  # an older one does not know all that is replaced
                assert not [symbol for symbol in elf.exports if not may_be_exported(symbol)], name
            assert not elf.free, name


def may_be_exported(symbol: str) -> bool:
    """Whether it is one of ours or takes the place of a function of glibc, be it one with 64-bit time on armhf."""
    plain = re.sub(r"^__(\w+?)(?:_time)?64$", r"\1", symbol)
    return symbol.startswith("edge_") or hasattr(ctypes.CDLL(None), plain)
