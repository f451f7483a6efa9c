"""Locked files → a root file system, without running any maintainer script.

What those scripts would have done is made by hand: the merged ``/usr`` links, the alternatives' links of BLAS and
LAPACK, mount points, and compiled Python files (without them NumPy's import under valgrind takes twice as long).
"""

from __future__ import annotations

import copy
import fnmatch
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from sandbox import process
from sandbox.errors import DataFileError
from sandbox.progress import Progress

from .spec import ImageSpec, Lock, LockedDeb, LockedWheel
from .store import Downloads

_DOCUMENTATION = ("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*", "usr/share/lintian/*")
_MERGED = ("bin", "sbin", "lib", "lib64")
MOUNT_POINTS = ("dev", "proc", "sys", "tmp", "run", "edge", "emulator")
_COMPILE_SECONDS = 600.0
_CHECKED_HERE: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
_NOT_IMPORTED = r"/(test|tests|testing|idlelib|lib2to3|tkinter|pydoc_data|turtledemo|f2py|ensurepip)/"


def unpack(spec: ImageSpec, lock: Lock, downloads: Downloads, root: Path, progress: Progress) -> None:
    """Fill the empty folder ``root``. Raises `DataFileError` naming a file that is damaged or would write outside."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    jobs = [(downloads.verified(deb.sha256, deb.name), deb, spec.keep, root) for deb in lock.debs]
    with progress.task(f"unpacking {spec.id}", total=len(jobs) + len(lock.wheels)) as advance:
        with ProcessPoolExecutor(max_workers=2) as pool:
            for done in [pool.submit(_unpack_deb, *job) for job in jobs]:
                done.result()
                advance(1)
        for wheel in lock.wheels:
            _unpack_wheel(downloads.verified(wheel.sha256, wheel.name), wheel, root)
            advance(1)
    _finish(spec, root)


def compile_python(folders: Sequence[Path], *, strip: Path, prefix: Path, interpreter: tuple[str, ...]) -> None:
    """Compile Python files with the image's own Python, started by ``interpreter`` (an argv prefix).

    Compiled files are not tied to time stamps; tests and tools that a runtime never imports are left out. A file
    that does not compile stays as it is, as after Debian's own maintainer scripts.
    """
    argv = [*interpreter, "-B", "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
    argv += ["-s", str(strip), "-p", str(prefix), "-x", _NOT_IMPORTED, *(str(f) for f in folders if f.is_dir())]
    process.run(argv, timeout=_COMPILE_SECONDS, env={})


def _unpack_deb(path: Path, deb: LockedDeb, keep: tuple[str, ...], root: Path) -> None:
    # in a worker process: python-debian reads the ar container, tarfile the member inside
    from debian.arfile import ArError  # noqa: PLC0415
    from debian.debfile import DebError, DebFile  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            data = DebFile(fileobj=io.BytesIO(file.read())).data.tgz()
            data.extractall(root, members=_safe_members(data, deb, keep, root.resolve()), **_CHECKED_HERE)
    except (ArError, DebError, tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's trouble, not the file's
            raise
        raise DataFileError(f"{deb.path}: cannot be unpacked: {error}", hint="lock the image again") from error


def _safe_members(
    data: tarfile.TarFile, deb: LockedDeb, keep: tuple[str, ...], root: Path
) -> Iterator[tarfile.TarInfo]:
    """Members to unpack, each looked at just before it is, when all links before it are in place.

    tarfile's own filters came with 3.10.12 and 3.11.4; Debian 12's Python is older than that, and they look at where
    a file goes, not at what a hard link would share with it.
    """
    for member in data:
        name = member.name.removeprefix("./").lstrip("/")
        if not _wanted(name, member, keep):
            continue
        targets = [root / name, *([root / member.linkname] if member.islnk() else [])]
        if not all(target.resolve().is_relative_to(root) for target in targets):
            raise DataFileError(
                f"{deb.path}: {member.name!r} would be written outside its folder", hint="do not use this package"
            )
        safe = copy.copy(member)
        safe.name, safe.mode = name or ".", member.mode & 0o755
        yield safe


def _wanted(name: str, member: tarfile.TarInfo, keep: tuple[str, ...]) -> bool:
    if member.isdev():  # pipes too: no package of an image has one
        return False
    if member.isdir():
        return name not in _MERGED and (not keep or _leads_to(name, keep))
    kept = not keep or any(fnmatch.fnmatch(name, glob) for glob in keep)
    return kept and not any(fnmatch.fnmatch(name, glob) for glob in _DOCUMENTATION)


def _leads_to(folder: str, keep: tuple[str, ...]) -> bool:
    return any(glob.startswith(f"{folder}/") or fnmatch.fnmatch(folder, glob) for glob in keep)


_SPREAD = re.compile(r"^[^/]+\.data/(?:purelib|platlib)/")
"""Files below it belong at the top ("Spreading a wheel", PyPA's binary distribution format)."""


def _unpack_wheel(path: Path, wheel: LockedWheel, root: Path) -> None:
    target = root / "opt" / wheel.runtime
    target.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                parts = PurePosixPath(member.filename).parts
                if ".." in parts or member.filename.startswith("/") or stat.S_ISLNK(member.external_attr >> 16):
                    raise DataFileError(
                        f"{wheel.filename}: {member.filename!r} would be written outside its folder",
                        hint="do not use this wheel",
                    )
                member.filename = _SPREAD.sub("", member.filename)
                archive.extract(member, target)
    except zipfile.BadZipFile as error:
        raise DataFileError(f"{wheel.filename}: {error}", hint="lock the image again") from error


def _finish(spec: ImageSpec, root: Path) -> None:
    for name in MOUNT_POINTS:
        (root / name).mkdir(exist_ok=True)
    libraries = root / "usr/lib" / spec.triplet
    for library in ("blas", "lapack"):
        link = libraries / f"lib{library}.so.3"
        if (libraries / library / link.name).is_file() and not link.exists():
            link.symlink_to(f"{library}/{link.name}")
    etc = root / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")
    (etc / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
