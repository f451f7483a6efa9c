"""What an image is: the wish (``image.toml``) and the exact bytes (``lock.json``). Pure values and their files."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import DataFileError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Architecture = Literal["amd64", "arm64", "armhf"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_TRIPLETS: Mapping[str, str] = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "armhf": "arm-linux-gnueabihf",
}
WHEEL_MACHINES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}
"""Debian's name of an architecture → that in platform tags of wheels."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuntimeSpec(_Frozen):
    """One inference runtime of an image."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    """Wheels (``name==version``) that its import needs beside NumPy, which comes from Debian as on the device."""


class ImageSpec(_Frozen):
    """The wish: a Debian release, an architecture, packages and runtimes."""

    id: str
    title: str
    suites: tuple[str, ...]
    """Debian suites the packages are resolved from, the release first."""
    architecture: Architecture
    packages: tuple[str, ...]
    keep: tuple[str, ...] = ()
    """Globs of the files to unpack; empty means all but documentation."""
    python: str | None = None
    glibc: str | None = None
    runtimes: tuple[RuntimeSpec, ...] = ()

    @property
    def triplet(self) -> str:
        """Debian's multiarch name, as in ``/usr/lib/<triplet>``."""
        return _TRIPLETS[self.architecture]

    @property
    def wheel_platforms(self) -> tuple[str, ...]:
        """Platform tags that pip would accept on this image, best first (PEP 600: any manylinux up to its glibc)."""
        machine = WHEEL_MACHINES[self.architecture]
        newest = int((self.glibc or "2.17").split(".")[1])
        tags = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1)]
        return (*tags, f"manylinux2014_{machine}", f"linux_{machine}")


class LockedDeb(_Frozen):
    """A Debian package by content. ``path`` is below an archive's root (``pool/…``)."""

    name: str
    version: str
    path: str
    size_bytes: int
    sha256: Sha256


class LockedWheel(_Frozen):
    """A wheel by content, and the runtime (``name-version``) whose folder it is unpacked into."""

    runtime: str
    name: str
    version: str
    filename: str
    size_bytes: int
    sha256: Sha256


class Lock(_Frozen):
    """The exact bytes of an image."""

    schema_version: Literal[1] = 1
    image: str
    resolved: str
    """UTC time of the resolution as a Debian snapshot writes it, ``20261121T060000Z``."""
    debs: tuple[LockedDeb, ...]
    wheels: tuple[LockedWheel, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 over names and hashes of all files: equal digests mean equal bytes, whenever they were resolved."""
        parts = [f"{f.name} {f.version} {f.sha256}" for f in self.debs]
        parts += [f"{w.runtime} {w.filename} {w.sha256}" for w in self.wheels]
        return hashlib.sha256("\n".join([self.image, *sorted(parts)]).encode()).hexdigest()

    @property
    def files(self) -> tuple[LockedDeb | LockedWheel, ...]:
        """All locked files."""
        return (*self.debs, *self.wheels)

    def runtime_versions(self, name: str) -> tuple[str, ...]:
        """Locked versions of a runtime."""
        return tuple(w.version for w in self.wheels if w.name == name and w.runtime == f"{name}-{w.version}")


def available_images(directory: Path) -> tuple[str, ...]:
    """Ids of all image folders, sorted."""
    return tuple(sorted(p.parent.name for p in directory.glob("*/image.toml")))


def load_spec(image_id: str, directory: Path) -> ImageSpec:
    """Read ``<directory>/<image_id>/image.toml``. Raises `UsageError` (unknown id) or `DataFileError` (bad file)."""
    path = directory / image_id / "image.toml"
    if not path.is_file():
        raise UsageError(f"unknown image {image_id!r}", hint="known: " + ", ".join(available_images(directory)))
    try:
        with path.open("rb") as file:
            spec = ImageSpec.model_validate({"id": image_id, **tomllib.load(file)})
    except ValueError as error:  # not TOML, not UTF-8, or not an image
        raise DataFileError(f"{path}: {_first_problem(error)}", hint="mend the image file") from error
    if spec.id != image_id:
        raise DataFileError(f"{path}: id: the folder's name is the id", hint="take the line out")
    return spec


def load_lock(image_id: str, directory: Path) -> Lock:
    """Read ``<directory>/<image_id>/lock.json``. Raises `DataFileError`: missing, damaged or of another version."""
    path = directory / image_id / "lock.json"
    if not path.is_file():
        raise DataFileError(f"{path}: the image has no lock", hint=f"edge-sandbox images lock {image_id}")
    try:
        document: Any = json.loads(path.read_text())
        return Lock.model_validate(document)
    except (ValueError, ValidationError) as error:
        raise DataFileError(
            f"{path}: {_first_problem(error)}", hint=f"make it again: edge-sandbox images lock {image_id}"
        ) from error


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
