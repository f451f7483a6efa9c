"""The build step that compiles the native parts: C in ``images/`` becomes ELF files in ``sandbox/_data/native/``.

The compiler is Clang as the ``ziglang`` package brings it, with the headers and stubs of glibc 2.17 for every target,
so that no host needs a compiler of its own (https://ziglang.org/learn/overview/, "Zig is also a C compiler").
The parts are data: QEMU and guests load them, this Python does not. So each wheel holds those for all machines, and
its tag stays ``py3-none-any``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = "sandbox/_data/native"
DIGEST = "sources.sha256"

_FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
_HEADERS = ("-Iimages/plugin",)  # counts.h is what plugin and clock share
_NO_TRAPS = ("-fno-sanitize=all",)  # zig's own default adds traps for undefined behaviour to unoptimised code
_SMALL = ("-s", "-Wl,--build-id=none")
_UNRESOLVED = ("-Wl,-z,undefs",)  # qemu_plugin_*: the QEMU that loads the plugin has them
_RESOLVED = ("-Wl,-z,defs",)


class Part(NamedTuple):  # a dataclass looks for its module in sys.modules, where hatchling does not put this one
    """One file to build."""

    name: str
    target: str
    """As zig names it, with the oldest glibc that it may meet."""
    sources: str
    """The folder with its C files, from the project's root."""
    linking: tuple[str, ...]


def _part(kind: str, architecture: str, target: str, linking: tuple[str, ...]) -> Part:
    return Part(name=f"{kind}-{architecture}.so", target=target, sources=f"images/{kind}", linking=linking)


PARTS = (
    _part("plugin", "amd64", "x86_64-linux-gnu.2.17", _UNRESOLVED),
    _part("plugin", "arm64", "aarch64-linux-gnu.2.17", _UNRESOLVED),
    _part("probe", "amd64", "x86_64-linux-gnu.2.17", _UNRESOLVED),
    _part("probe", "arm64", "aarch64-linux-gnu.2.17", _UNRESOLVED),
    _part("clock", "arm64", "aarch64-linux-gnu.2.17", _RESOLVED),
    _part("clock", "armhf", "arm-linux-gnueabihf.2.17", _RESOLVED),  # zig's arm is ARMv7-A
    _part("clock", "amd64", "x86_64-linux-gnu.2.17", _RESOLVED),
    _part("fault", "arm64", "aarch64-linux-gnu.2.17", _RESOLVED),
    _part("fault", "armhf", "arm-linux-gnueabihf.2.17", _RESOLVED),
    _part("fault", "amd64", "x86_64-linux-gnu.2.17", _RESOLVED),
)


class BuildError(Exception):
    """The native parts cannot be built; the message says why and what to do."""


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # its configuration class is hatchling's affair
    """Compiles before a wheel, editable or not, is put together."""

    _temporary: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is out of date and add it to the wheel; an editable install finds it in the checkout."""
        root = Path(self.root)
        folder = root / NATIVE
        if version != "editable":
            if not os.access(root / "sandbox", os.W_OK):  # a wheel can be built from what nobody may write to
                self._temporary = tempfile.TemporaryDirectory(prefix="edge-sandbox-native-")
                folder = Path(self._temporary.name)
            build_data["force_include"][str(folder)] = NATIVE
        try:
            build(root, folder)
        except BuildError as error:
            self.app.abort(str(error))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what a read-only checkout had no place for."""
        if self._temporary is not None:
            self._temporary.cleanup()


def build(root: Path, folder: Path) -> None:
    """Fill ``folder`` with all parts, unless it has them from the very same sources. Raises `BuildError`."""
    zig = _zig()
    digest = sources_digest(root, zig.version)
    if _is_current(folder, digest):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="edge-sandbox-zig-") as cache,
            tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as work,
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            jobs = [pool.submit(_compile, part, root, Path(work), zig, cache) for part in PARTS]
            for job in jobs:
                job.result()
            for part in PARTS:  # by rename: a program that has the old file open keeps it whole
                (Path(work) / part.name).replace(folder / part.name)
        (folder / DIGEST).write_text(f"{digest}\n")
    except OSError as error:
        raise BuildError(
            f"cannot build the native parts: {error.filename or folder}: {error.strerror or error}"
        ) from error


def sources_digest(root: Path, compiler_version: str) -> str:
    """sha256 over all that decides about the bytes: compiler, options, C files and headers."""
    lines = [f"ziglang {compiler_version}"]
    lines += [" ".join(_arguments(part, root)) for part in PARTS]
    for folder in sorted({part.sources for part in PARTS}):
        for path in sorted([*(root / folder).glob("*.c"), *(root / folder).glob("*.h")]):
            lines.append(f"{folder}/{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _zig() -> Distribution:
    try:
        return distribution("ziglang")
    except PackageNotFoundError:
        raise BuildError(
            "the native parts are compiled with the Python package ziglang, which is not installed: let pip install "
            "build dependencies (no --no-build-isolation), or install the one that pyproject.toml names"
        ) from None


def _is_current(folder: Path, digest: str) -> bool:
    found = folder / DIGEST
    return (
        found.is_file() and found.read_text() == f"{digest}\n" and all((folder / part.name).is_file() for part in PARTS)
    )


def _arguments(part: Part, root: Path) -> tuple[str, ...]:
    """The compiler's arguments, but for the output: names are relative, so no folder's name gets into the file."""
    sources = sorted(f"{part.sources}/{path.name}" for path in (root / part.sources).glob("*.c"))
    if not sources:
        raise BuildError(f"{part.sources} has no C files: this is not a whole checkout")
    return ("-target", part.target, *_FLAGS, *_HEADERS, *_NO_TRAPS, *_SMALL, *part.linking, *sources)


def _compile(part: Part, root: Path, work: Path, zig: Distribution, cache: str) -> None:
    argv = [str(zig.locate_file("ziglang/zig")), "cc", *_arguments(part, root), "-o", str(work / part.name)]
    # Nothing of the user's environment: neither include paths nor a home folder. A cache that stays would save nine
    # seconds when the C changes, and leave 50 MB with everyone who installs: only those get one who tell zig where.
    environment = {
        "ZIG_GLOBAL_CACHE_DIR": os.environ.get("ZIG_GLOBAL_CACHE_DIR", cache),
        "ZIG_LOCAL_CACHE_DIR": cache,
    }
    done = subprocess.run(
        argv, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"{part.name} cannot be compiled:\n{done.stderr or done.stdout}")


if __name__ == "__main__":  # python hatch_build.py: after a change of the C files, without installing anything
    here = Path(__file__).resolve().parent
    try:
        build(here, here / NATIVE)
    except BuildError as problem:
        sys.exit(str(problem))
