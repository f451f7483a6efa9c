"""Small images, packages and wheels made on the spot."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from sandbox.image.spec import ImageSpec, Lock, LockedDeb, LockedWheel, RuntimeSpec
from sandbox.image.store import BuiltImage

SPEC = ImageSpec(
    id="sample-arm64",
    title="Sample",
    suites=("sample",),
    architecture="arm64",
    packages=("python3",),
    python="3.11",
    glibc="2.36",
    runtimes=(RuntimeSpec(name="tflite-runtime", version="2.14.0"),),
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def locked_deb(name: str, content: bytes = b"", *, version: str = "1.0-1") -> LockedDeb:
    path = f"pool/main/{name[0]}/{name}/{name}_{version.partition(':')[2] or version}_arm64.deb"
    return LockedDeb(name=name, version=version, path=path, size_bytes=len(content), sha256=sha256(content))


def locked_wheel(name: str, content: bytes = b"", *, version: str = "2.14.0") -> LockedWheel:
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return LockedWheel(
        runtime="tflite-runtime-2.14.0",
        name=name,
        version=version,
        filename=filename,
        size_bytes=len(content),
        sha256=sha256(content),
    )


def lock(debs: Iterable[LockedDeb] = (), wheels: Iterable[LockedWheel] = ()) -> Lock:
    return Lock(image=SPEC.id, resolved="20261121T060000Z", debs=tuple(debs), wheels=tuple(wheels))


def built_image(directory: Path, files: Iterable[str] = ()) -> BuiltImage:
    """An image folder with empty files at these places."""
    image = BuiltImage(spec=SPEC, lock=lock(), directory=directory)
    image.root.mkdir(parents=True)
    for name in files:
        (image.root / name).parent.mkdir(parents=True, exist_ok=True)
        (image.root / name).touch()
    return image


def member(
    name: str, content: bytes = b"", *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """A tar member with any name, honest or not."""
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.size = mode, kind, link, len(content)
    return info, content


def deb(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A Debian package with these files."""
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", _tar_xz([])), ("data.tar.xz", _tar_xz(members))]
    archive = b"!<arch>\n"
    for name, content in parts:
        archive += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        archive += b"\n" * (len(content) % 2)
    return archive


def wheel(files: dict[str, bytes]) -> bytes:
    """A zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def _tar_xz(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
