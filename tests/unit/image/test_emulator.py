"""Command lines of the emulator image's programs, and what its version is called."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from sandbox.errors import HostError
from sandbox.image.emulator import GUEST_BASE_32_BIT, Emulator, emulator_of, host_architecture
from sandbox.image.spec import Architecture
from sandbox.image.store import BuiltImage
from tests.unit.image.image_samples import SPEC, lock, locked_deb

EMULATOR = Emulator(
    version="7.2", digest="d" * 64, architecture="amd64", triplet="x86_64-linux-gnu", root=Path("/cache/root")
)
LIBRARIES = "/cache/root/usr/lib/x86_64-linux-gnu"
LOADER = f"{LIBRARIES}/ld-linux-x86-64.so.2"


def test_programs_are_started_by_their_own_loader() -> None:
    assert EMULATOR.program("bwrap") == (LOADER, "--library-path", LIBRARIES, "/cache/root/usr/bin/bwrap")


def test_on_an_arm_host() -> None:
    emulator = Emulator(
        version="7.2", digest="", architecture="arm64", triplet="aarch64-linux-gnu", root=Path("/emulator")
    )
    assert emulator.program("qemu-arm")[0] == "/emulator/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"


@pytest.mark.parametrize(
    ("guest", "page", "program", "options"),
    [
        ("arm64", 4096, "qemu-aarch64", ("-cpu", "cortex-a72")),
        ("arm64", 16384, "qemu-aarch64", ("-cpu", "cortex-a72", "-p", "16384")),
        ("armhf", 4096, "qemu-arm", ("-cpu", "cortex-a72", "-B", "0x100000000")),
        ("amd64", 4096, "qemu-x86_64", ("-cpu", "cortex-a72")),
    ],
)
def test_command_line(guest: Architecture, page: int, program: str, options: tuple[str, ...]) -> None:
    words = EMULATOR.qemu(guest, cpu="cortex-a72", page_size_bytes=page)
    assert words == (LOADER, "--library-path", LIBRARIES, f"/cache/root/usr/bin/{program}", *options)


def test_a_32_bit_guest_lies_where_the_memory_meter_looks() -> None:
    from sandbox.engines.smaps import GUEST_ADDRESS_LIMIT  # noqa: PLC0415

    assert GUEST_BASE_32_BIT + (1 << 32) < GUEST_ADDRESS_LIMIT


def test_seen_from_inside_the_sandbox() -> None:
    inside = EMULATOR.at(Path("/emulator"))
    assert inside.program("bwrap")[0] == "/emulator/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    assert inside.at(EMULATOR.root) == EMULATOR


@pytest.mark.parametrize(
    ("debian", "version"),
    [
        ("1:7.2+dfsg-7+deb12u18+b3", "7.2 (Debian 1:7.2+dfsg-7+deb12u18+b3)"),
        ("1:10.0.2+ds-2", "10.0.2"),
        ("8.2.2-1", "8.2.2"),
    ],
)
def test_version(debian: str, version: str, tmp_path: Path) -> None:
    locked = lock([locked_deb("libc6"), locked_deb("qemu-user", version=debian)])
    spec = SPEC.model_copy(update={"architecture": "amd64"})
    emulator = emulator_of(BuiltImage(spec=spec, lock=locked, directory=tmp_path))
    assert emulator == Emulator(
        version=version,
        digest=locked.digest,
        architecture="amd64",
        triplet="x86_64-linux-gnu",
        root=tmp_path / "root",
    )


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")])
def test_hosts(machine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_architecture() == name


def test_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(HostError, match="this host is riscv64"):
        host_architecture()
