"""The locked emulator and sandbox programs: how to start them wherever they were unpacked.

The emulator image holds dynamic x86-64 or arm64 programs with their libraries; they are started through the image's
own dynamic loader, so nothing of the host's libraries matters, not even musl in place of glibc.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import HostError

from .spec import Architecture
from .store import BuiltImage

_HOST_ARCHITECTURES: Mapping[str, Architecture] = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_LOADERS: Mapping[str, str] = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
_QEMU_NAMES: Mapping[str, str] = {"amd64": "qemu-x86_64", "arm64": "qemu-aarch64", "armhf": "qemu-arm"}

GUEST_BASE_32_BIT = 0x1_0000_0000
"""Where a 32-bit guest's memory is put in the emulator's address space, so that it can be told apart from outside."""


def host_architecture() -> Architecture:
    """Debian's name of this host's architecture. Raises `HostError` for one that no emulator is locked for."""
    machine = platform.machine()
    if machine not in _HOST_ARCHITECTURES:
        raise HostError(f"this host is {machine}", hint="use an x86-64 or a 64-bit ARM Linux host")
    return _HOST_ARCHITECTURES[machine]


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """Programs of the emulator image, addressed from ``root``: its folder on the host, or where a guest sees it."""

    version: str
    """QEMU's version, ``7.2.22``."""
    digest: str
    architecture: Architecture
    triplet: str
    root: Path

    def at(self, root: Path) -> Emulator:
        """The same emulator, seen at another place."""
        return Emulator(
            version=self.version, digest=self.digest, architecture=self.architecture, triplet=self.triplet, root=root
        )

    def program(self, name: str) -> tuple[str, ...]:
        """The argv that starts ``/usr/bin/<name>`` of the emulator image."""
        libraries = self.root / "usr/lib" / self.triplet
        loader = libraries / _LOADERS[self.architecture]
        return (str(loader), "--library-path", str(libraries), str(self.root / "usr/bin" / name))

    def qemu(self, guest: Architecture, *, cpu: str, page_size_bytes: int) -> tuple[str, ...]:
        """The argv prefix that runs a guest program on the given core. There is no default core on purpose."""
        base = ("-B", hex(GUEST_BASE_32_BIT)) if guest == "armhf" else ()
        page = ("-p", str(page_size_bytes)) if page_size_bytes != 4096 else ()
        return (*self.program(_QEMU_NAMES[guest]), "-cpu", cpu, *base, *page)


def emulator_of(image: BuiltImage) -> Emulator:
    """The emulator in a built emulator image, of either mode."""
    version = next(deb.version for deb in image.lock.debs if deb.name in ("qemu-user", "qemu-system-arm"))
    upstream = re.sub(r"^\d+:|[+-].*$", "", version)
    patch = re.search(r"deb12u(\d+)", version)
    return Emulator(
        version=f"{upstream} (Debian {version})" if patch else upstream,
        digest=image.lock.digest,
        architecture=image.spec.architecture,
        triplet=image.spec.triplet,
        root=image.root,
    )


def system_mode(emulator: Emulator, machine: str) -> tuple[str, ...]:
    """The argv prefix that runs a program without an operating system on that board of QEMU's (``-M help``).

    By semihosting (Arm's specification of that name) the program prints and ends, and it could open any file that this
    user can: an untrusted one needs a sandbox around it.
    """
    semihosting = ("-semihosting-config", "enable=on,target=native")
    return (*emulator.program("qemu-system-arm"), "-machine", machine, "-nographic", *semihosting)
