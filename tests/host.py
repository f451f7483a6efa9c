"""Which real engines this host has: asked once per session, each with the reason when it has not."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.engines.base import Engine, EngineName
from sandbox.engines.docker import DockerEngine
from sandbox.engines.guard import Guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.native import NativeEngine
from sandbox.engines.qemu_system import QemuSystemEngine
from sandbox.engines.renode import RenodeEngine
from sandbox.errors import SandboxError
from sandbox.image.build import ImageBuilder
from sandbox.image.emulator import Emulator, host_architecture
from sandbox.image.spec import load_lock, load_spec
from sandbox.image.store import BuiltImage, Store
from sandbox.microcontroller.board import EmulatorName
from sandbox.microcontroller.job import FirmwareEngine
from sandbox.progress import Silent
from sandbox.resources import cache_directory, data_directory
from tests.firmware import COMPILER

REAL: tuple[EngineName, ...] = ("local", "docker", "native")
EMULATORS: tuple[EmulatorName, ...] = ("qemu-system", "renode")
"""Engines of microcontrollers; their tests need a compiler too."""
DEVICE_IMAGE = "bookworm-arm64"
_TWINS: Mapping[str, str] = {"amd64": "bookworm-amd64", "arm64": "bookworm-arm64"}


@functools.cache
def builder() -> ImageBuilder:
    """The user's own cache: what it holds need not be downloaded again."""
    return ImageBuilder(images=data_directory("images"), store=Store(cache_directory()), progress=Silent())


@functools.cache
def emulator() -> Emulator:
    return builder().emulator()


@functools.cache
def image_for(name: EngineName) -> BuiltImage:
    return builder().build(_TWINS[host_architecture()] if name == "native" else DEVICE_IMAGE)


def described(image_id: str, directory: Path) -> BuiltImage:
    """An image as it would be, were it built in ``directory``: for tests that start nothing."""
    images = data_directory("images")
    return BuiltImage(spec=load_spec(image_id, images), lock=load_lock(image_id, images), directory=directory)


def make_engine(name: EngineName, guard: Guard) -> Engine:
    if name == "local":
        return LocalEngine(emulator(), guard)
    if name == "docker":
        return DockerEngine(emulator(), guard)
    return NativeEngine(emulator(), guard, image_for("native").spec.architecture)


def make_firmware_engine(name: EmulatorName, guard: Guard) -> FirmwareEngine:
    return QemuSystemEngine(builder().system_emulator(), guard) if name == "qemu-system" else RenodeEngine(guard)


@functools.cache
def left_out(name: EngineName | EmulatorName) -> str | None:
    """Why this host cannot run that engine, or None."""
    if name == "qemu-system" or name == "renode":  # noqa: PLR1714  # mypy narrows by this
        return _firmware_left_out(name)
    try:
        image_for(name)
        problem = make_engine(name, Guard(io.BytesIO())).probe()  # a probe needs no guard
    except SandboxError as error:
        return str(error)
    return f"{problem.reason}; next: {problem.hint}" if problem else None


def _firmware_left_out(name: EmulatorName) -> str | None:
    if shutil.which(COMPILER) is None:
        return f"there is no {COMPILER} to build its programs with; next: apt install gcc-arm-none-eabi"
    try:
        problem = make_firmware_engine(name, Guard(io.BytesIO())).probe()
    except SandboxError as error:
        return str(error)
    return f"{problem.reason}; next: {problem.hint}" if problem else None
