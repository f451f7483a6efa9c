"""What the cache holds: downloads by sha256, and built images by their lock's digest.

Everything appears by rename, complete or not at all, so a killed process or a full disk leaves nothing half done
that a later one would trust.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import DataFileError, HostError

from .spec import ImageSpec, Lock

_MARKER = "complete.json"
_SHA256_DIGITS = 64
_DAY_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An unpacked image: its root file system as a plain folder."""

    spec: ImageSpec
    lock: Lock
    directory: Path

    @property
    def root(self) -> Path:
        """The folder that becomes the guest's ``/``."""
        return self.directory / "root"


class Downloads:
    """Downloaded files by sha256."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, sha256: str) -> Path:
        """Where the file of that hash lies or would lie."""
        return self._directory / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether it is there."""
        return self.path(sha256).is_file()

    def add(self, content: bytes, *, sha256: str, name: str) -> None:
        """Keep ``content``. Raises `DataFileError`, naming ``name``, when its hash is not ``sha256``."""
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise DataFileError(
                f"{name}: sha256 is {found}, the lock says {sha256}",
                hint="the file was changed on its way or at its source; use another mirror",
            )
        target = self.path(sha256)
        with disk_errors(self._directory):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
                try:
                    file.write(content)
                    file.flush()
                    Path(file.name).replace(target)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise

    def verified(self, sha256: str, name: str) -> Path:
        """The kept file, its hash checked again. A damaged one is removed and refused with `DataFileError`."""
        path = self.path(sha256)
        if not path.is_file():
            raise DataFileError(f"{path}: the cached copy of {name} is gone", hint="run the same command again")
        if _sha256(path) != sha256:
            path.unlink()
            raise DataFileError(
                f"{path}: the cached copy of {name} is damaged and was removed", hint="run the same command again"
            )
        return path

    def all(self) -> Iterator[Path]:
        """Every kept file."""
        return (path for path in self._directory.glob("??/*") if path.is_file())


class Store:
    """The cache folder: ``downloads/``, ``images/``, and a lock file for each image being built."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.downloads = Downloads(directory / "downloads")

    def image_directory(self, lock: Lock) -> Path:
        """Where the image of that lock is or would be."""
        return self.directory / "images" / f"{lock.image}-{lock.digest[:16]}"

    def find(self, spec: ImageSpec, lock: Lock) -> BuiltImage | None:
        """The built image, or None when it was never built or files of it are gone or cut short."""
        directory = self.image_directory(lock)
        return BuiltImage(spec=spec, lock=lock, directory=directory) if not self.damage(directory) else None

    def damage(self, directory: Path) -> str | None:
        """What is wrong with a built image: a missing or resized file by name; None when nothing is."""
        try:
            sizes: dict[str, int] = json.loads((directory / _MARKER).read_text())
            root = directory / "root"
            return next((name for name, size in sizes.items() if (root / name).lstat().st_size != size), None)
        except (OSError, ValueError, AttributeError) as error:
            name = getattr(error, "filename", None)
            return str(name or directory / _MARKER)

    @contextlib.contextmanager
    def building(self, lock: Lock) -> Iterator[Path]:
        """A fresh folder to build in, which becomes the image when the block ends well and vanishes when not."""
        with self.fresh(self.image_directory(lock)) as work:
            (work / "root").mkdir()
            yield work
            (work / _MARKER).write_text(json.dumps(_sizes(work / "root")))

    @contextlib.contextmanager
    def fresh(self, final: Path) -> Iterator[Path]:
        """An empty folder that takes the place of ``final`` when the block ends well, and vanishes when not."""
        with disk_errors(self.directory):
            final.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".making-", dir=final.parent))
            try:
                work.chmod(0o755)
                yield work
                if final.exists():
                    remove_tree(final)
                work.rename(final)
            except BaseException:
                remove_tree(work)
                raise

    @contextlib.contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold the cache's lock of that name: two processes never build the same image at once."""
        with disk_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / f".{name}.lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield

    def prune(self, keep: set[str], keep_downloads: set[str]) -> int:
        """Remove images whose digest is not in ``keep`` and downloads not in ``keep_downloads``; bytes freed.

        What another process may be making at this moment is left alone: unfinished things less than a day old.
        """
        freed = 0
        for directory in (self.directory / "images").glob("*"):
            kept = any(directory.name.endswith(digest[:16]) for digest in keep)
            if directory.is_dir() and not kept and not (directory.name.startswith(".") and _is_young(directory)):
                freed += sum(path.lstat().st_size for path in directory.rglob("*"))
                remove_tree(directory)
        for path in self.downloads.all():
            unfinished = len(path.name) != _SHA256_DIGITS and _is_young(path)
            if path.name not in keep_downloads and not unfinished:
                freed += path.stat().st_size
                path.unlink()
        return freed


def _is_young(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < _DAY_SECONDS


@contextlib.contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into a `HostError` that says which folder and how to choose another."""
    try:
        yield
    except OSError as error:
        raise HostError(
            f"cannot write to {error.filename or directory}: {error.strerror or error}",
            hint=f"make room there, or put the cache elsewhere: EDGE_SANDBOX_CACHE=DIR (now {directory})",
        ) from error


def remove_tree(directory: Path) -> None:
    """Remove a folder, read-only folders inside included."""
    for path, _folders, _files in os.walk(directory):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sizes(root: Path) -> dict[str, int]:
    files = (path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    return {str(path.relative_to(root)): path.lstat().st_size for path in files}
