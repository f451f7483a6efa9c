"""What ``doctor`` finds for microcontrollers: emulators, compiler, the user's TFLM. All of it is optional."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sandbox import process
from sandbox.engines.guard import Guard
from sandbox.engines.renode import RenodeEngine
from sandbox.errors import SandboxError
from sandbox.host import Finding
from sandbox.image.build import ImageBuilder
from sandbox.image.emulator import host_architecture
from sandbox.image.spec import load_lock, load_spec

from .tflm import libraries_in, remembered
from .toolchain import find_compiler

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_NO_TFLM = "name one with profile --tflm DIR, which is remembered; docs/howto/microcontroller.md says where to get it"


def examine(builder: ImageBuilder, guard: Guard) -> Iterator[Finding]:
    """Every check in turn; none stops the others, and none downloads anything."""
    for subject, check in (
        ("qemu-system", lambda: _system_emulator(builder)),
        ("renode", lambda: _renode(RenodeEngine(guard))),
        ("ARM compiler", _compiler),
        ("TFLM library", _library),
    ):
        yield _found(subject, check)


def _found(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except SandboxError as error:
        return Finding(subject=subject, status="limited", detail=error.message, hint=error.hint)


def _system_emulator(builder: ImageBuilder) -> Finding:
    name = f"emulator-system-{host_architecture()}"
    lock = load_lock(name, builder.images)
    built = builder.store.find(load_spec(name, builder.images), lock) is not None
    detail = f"locked, {lock.digest[:12]}, " + ("unpacked" if built else "fetched when it is first needed")
    return Finding(subject="qemu-system", status="ok", detail=detail)


def _renode(engine: RenodeEngine) -> Finding:
    problem = engine.probe()
    if problem is not None:
        return Finding(subject="renode", status="limited", detail=f"optional: {problem.reason}", hint=problem.hint)
    return Finding(subject="renode", status="ok", detail=f"Renode {engine.version}")


def _compiler() -> Finding:
    path = find_compiler()
    version = _VERSION.search(process.run((path, "-dumpfullversion"), timeout=60).stdout)
    if version is None:
        return Finding(subject="ARM compiler", status="limited", detail=f"{path} does not tell its version")
    return Finding(subject="ARM compiler", status="ok", detail=f"{path}, GCC {version[0]}")


def _library() -> Finding:
    folder = remembered()
    if folder is None:
        return Finding(subject="TFLM library", status="limited", detail="optional: none is remembered", hint=_NO_TFLM)
    described = "; ".join(libraries_in(folder))
    return Finding(subject="TFLM library", status="ok", detail=f"{folder}: {described}")
