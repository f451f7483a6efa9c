"""Wheels for an image's Python and architecture, through the pip configuration of this machine.

pip chooses and downloads; nothing is installed and no code of a wheel runs on the host.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.utils import parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sandbox import process
from sandbox.errors import HostError, UsageError
from sandbox.progress import Progress

from .spec import ImageSpec, LockedWheel, RuntimeSpec
from .store import Downloads

_TIMEOUT_SECONDS = 900.0
_UNREACHABLE = (
    "connection broken by",
    "NewConnectionError",
    "ConnectTimeout",
    "NameResolutionError",
    "not a trusted or",
)
"""pip's words for an index it could not ask; all it says then is that there are no versions."""
_VERSIONS_FOUND = re.compile(r"\(from versions: ([^)]*)\)")


class NoSuchWheel(UsageError):
    """No wheel of that version fits the image; ``versions`` are those that do."""

    def __init__(self, requirement: str, spec: ImageSpec, versions: Sequence[str]) -> None:
        exists = ", ".join(versions) or "none at all"
        super().__init__(
            f"no wheel of {requirement} for Python {spec.python} on {spec.architecture} (image {spec.id})",
            hint=f"versions that exist there: {exists}",
        )
        self.versions = tuple(versions)


def resolve_wheels(runtime: RuntimeSpec, spec: ImageSpec, downloads: Downloads) -> tuple[LockedWheel, ...]:
    """Lock a runtime and what its import needs, keeping the files. Raises `NoSuchWheel` or `HostError`."""
    folder = f"{runtime.name}-{runtime.version}"
    wheels = []
    for requirement in (f"{runtime.name}=={runtime.version}", *runtime.requires):
        with tempfile.TemporaryDirectory(prefix="edge-sandbox-") as scratch:
            _download([requirement], spec, Path(scratch))
            path = next(Path(scratch).glob("*.whl"))
            content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        downloads.add(content, sha256=sha256, name=path.name)
        name, version, _build, _tags = parse_wheel_filename(path.name)
        wheels.append(
            LockedWheel(
                runtime=folder,
                name=str(name),
                version=str(version),
                filename=path.name,
                size_bytes=len(content),
                sha256=sha256,
            )
        )
    return tuple(wheels)


def fetch_wheels(wheels: Iterable[LockedWheel], spec: ImageSpec, downloads: Downloads, progress: Progress) -> None:
    """Bring locked wheels into ``downloads``; pip refuses any file whose sha256 is not the locked one."""
    missing = {w.sha256: w for w in wheels if not downloads.has(w.sha256)}
    if not missing:
        return
    with (
        progress.task("downloading wheels"),
        tempfile.TemporaryDirectory(prefix="edge-sandbox-") as scratch,
    ):
        lines = [f"{w.name}=={w.version} --hash=sha256:{w.sha256}" for w in missing.values()]
        for index, line in enumerate(lines):  # two versions of one wheel cannot stand in one requirements file
            requirements = Path(scratch) / f"{index}.txt"
            requirements.write_text(line + "\n")
            _download(["--require-hashes", "-r", str(requirements)], spec, Path(scratch))
        for wheel in missing.values():
            content = (Path(scratch) / wheel.filename).read_bytes()
            downloads.add(content, sha256=wheel.sha256, name=wheel.filename)


def _download(requirement: Sequence[str], spec: ImageSpec, target: Path) -> None:
    python = (spec.python or "3").replace(".", "")
    platforms = [argument for tag in spec.wheel_platforms for argument in ("--platform", tag)]
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    argv += ["--python-version", python, "--implementation", "cp", "--abi", f"cp{python}", "--abi", "abi3"]
    argv += ["--abi", "none", "--dest", str(target), *requirement]
    # a failing network should not be retried for minutes, and pip's own update notice is noise here
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RETRIES": "1", "PIP_NO_INPUT": "1"}
    done = process.run(argv, timeout=_TIMEOUT_SECONDS, env=env)
    if done.returncode != 0:
        raise _explain(done.stderr, " ".join(requirement), spec)


def _explain(stderr: str, requirement: str, spec: ImageSpec) -> Exception:
    unreachable = any(words in stderr for words in _UNREACHABLE)
    versions = _VERSIONS_FOUND.search(stderr)
    if versions and not unreachable and "--require-hashes" not in requirement:
        return NoSuchWheel(requirement, spec, _sorted_versions(versions[1]))
    lines = [line for line in stderr.splitlines() if line.startswith("ERROR:")] or stderr.splitlines()[-1:]
    what = lines[0].removeprefix("ERROR: ") if lines else "pip failed without a word"
    if "HASHES" in stderr or "do not match" in stderr.lower():
        what = next((line.strip() for line in stderr.splitlines() if " from " in line), what)
        return HostError(
            f"a wheel differs from the lock: {what}", hint="the index serves other bytes; use another index for pip"
        )
    reason = "no network, or pip's index cannot be reached" if unreachable else what
    return HostError(f"cannot get wheels for {spec.id}: {reason}", hint="check `python -m pip download` on this host")


def _sorted_versions(text: str) -> list[str]:
    def key(version: str) -> Version:
        try:
            return Version(version)
        except InvalidVersion:
            return Version("0")

    return sorted((v.strip() for v in text.split(",") if v.strip() not in {"", "none"}), key=key)
