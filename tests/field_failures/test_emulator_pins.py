"""Failures of the emulator itself, held off by what is pinned and by what every run sets.

G1 docker-ansible#170: Python 3.13 crashes under QEMU 7.0.0. G2 binfmt#215: non-PIE builds of QEMU 7 crash since hosts
randomise more of the address space. G3 binfmt#245: 9.2.0 crashes in some images. G4 buildx#542: 5.1 and 5.2. And
onnxruntime#24512: the default core hides what a real one refuses, so that A1 does not happen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from packaging.version import Version

from sandbox.device import load_device
from sandbox.engines.base import Engine, Job
from sandbox.engines.docker import DockerEngine
from sandbox.engines.guard import Guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.unisolated import UnisolatedEngine
from sandbox.image.emulator import Emulator
from sandbox.image.spec import load_lock
from sandbox.resources import data_directory
from tests import host

KNOWN_BAD = ("5.1", "5.2", "7.0.0", "9.2.0")
EMULATORS = ("emulator-amd64", "emulator-arm64")
SPECS = sorted(path for path in data_directory("device_specs").glob("*.toml") if "[[os]]" in path.read_text())


@pytest.mark.parametrize("image_id", EMULATORS)
def test_the_locked_version_is_none_that_is_known_to_crash(image_id: str) -> None:
    deb = next(d for d in load_lock(image_id, data_directory("images")).debs if d.name == "qemu-user")
    version = Version(deb.version.rpartition(":")[2].partition("+")[0].partition("-")[0])
    assert version >= Version("7.2"), "G1, G4"
    assert not [bad for bad in KNOWN_BAD if version == Version(bad)]


@pytest.mark.engine("local")
def test_the_emulator_is_position_independent() -> None:
    """G2: an address space layout that is randomised more moves such a program out of the guest's way."""
    root = host.emulator().root
    for name in ("qemu-aarch64", "qemu-arm"):
        with (root / "usr/bin" / name).open("rb") as file:
            assert ELFFile(file)["e_type"] == "ET_DYN"


@pytest.mark.parametrize("make", [LocalEngine, DockerEngine, UnisolatedEngine], ids=lambda make: make.name)
def test_every_run_names_the_core(make: type[Engine], job: Job, guard: Guard, emulator: Emulator) -> None:
    """A1 passes on QEMU's default core, which has every extension."""
    words = make(emulator, guard).command(job)  # type: ignore[call-arg]
    assert words[words.index("-cpu") + 1] == "cortex-a72"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_no_device_runs_on_the_default_core(path: Path) -> None:
    """``max`` only stands for cores that no QEMU of ours knows; the Armv8.0 ones of A1 are not among them."""
    device = load_device(str(path), data_directory("device_specs"))
    for os in device.os:
        assert os.emulated_cpu
        if device.cpu.core in {"cortex-a53", "cortex-a72"} and os.image.endswith("arm64"):
            assert os.emulated_cpu == device.cpu.core


@pytest.fixture
def emulator(tmp_path: Path) -> Emulator:
    return Emulator(
        version="7.2", digest="0", architecture="amd64", triplet="x86_64-linux-gnu", root=tmp_path / "emulator"
    )


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with (tmp_path / "guarded").open("wb") as stream:
        yield Guard(stream)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        name="pinned",
        image=host.described("bookworm-arm64", tmp_path / "image"),
        argv=("/usr/bin/python3.11", "-c", "1"),
        env={},
        run_dir=tmp_path / "run",
        mounts=(),
        cpu="cortex-a72",
        page_size_bytes=4096,
        hostname="pinned",
        memory_limit_bytes=None,
        timeout_seconds=1.0,
    )
