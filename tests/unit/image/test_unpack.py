"""Packages and wheels made by hand, honest and hostile: nothing is ever written outside the root."""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import DataFileError
from sandbox.image.spec import ImageSpec, LockedDeb, LockedWheel
from sandbox.image.store import Downloads
from sandbox.image.unpack import MOUNT_POINTS, unpack
from sandbox.progress import Silent
from tests.unit.image.image_samples import SPEC, deb, lock, locked_deb, locked_wheel, member, sha256, wheel

Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the host with a file that no package may read or change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("untouched")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "image" / "root"
    folder.mkdir(parents=True)
    return folder


def unpack_all(
    root: Path, debs: dict[str, bytes], wheels: dict[str, bytes] | None = None, spec: ImageSpec = SPEC
) -> None:
    downloads = Downloads(root.parents[1] / "downloads")
    for name, content in {**debs, **(wheels or {})}.items():
        downloads.add(content, sha256=sha256(content), name=name)
    locked_debs: list[LockedDeb] = [locked_deb(name, content) for name, content in debs.items()]
    locked_wheels: list[LockedWheel] = [locked_wheel(name, content) for name, content in (wheels or {}).items()]
    unpack(spec, lock(locked_debs, locked_wheels), downloads, root, Silent())


def files_below(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.parent.name != "etc"
    }


def test_package(root: Path) -> None:
    content = deb(
        member("./usr/", mode=0o755, kind=tarfile.DIRTYPE),
        member("./usr/bin/", mode=0o755, kind=tarfile.DIRTYPE),
        member("./usr/bin/tool", b"#!/bin/sh\n", mode=0o755),
        member("./usr/bin/same", mode=0o755, kind=tarfile.LNKTYPE, link="./usr/bin/tool"),
        member("./usr/bin/short", kind=tarfile.SYMTYPE, link="tool"),
        member("./etc/alternatives/tool", kind=tarfile.SYMTYPE, link="/usr/bin/tool"),
    )
    unpack_all(root, {"tool": content})
    tool = root / "usr/bin/tool"
    assert tool.read_text() == "#!/bin/sh\n"
    assert os.access(tool, os.X_OK)
    assert tool.samefile(root / "usr/bin/same")
    assert (root / "usr/bin/short").readlink() == Path("tool")
    assert (root / "etc/alternatives/tool").readlink() == Path("/usr/bin/tool")


def test_merged_usr_and_what_every_guest_needs(root: Path) -> None:
    content = deb(
        member("./lib/", mode=0o755, kind=tarfile.DIRTYPE),
        member("./lib/aarch64-linux-gnu/libx.so.1", b"x"),
        member("./bin", kind=tarfile.SYMTYPE, link="usr/bin"),
        member("./usr/lib/aarch64-linux-gnu/blas/libblas.so.3", b"b"),
    )
    unpack_all(root, {"libx": content})
    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/aarch64-linux-gnu/libx.so.1").read_text() == "x"
    assert (root / "bin").readlink() == Path("usr/bin")
    assert (root / "usr/lib/aarch64-linux-gnu/libblas.so.3").readlink() == Path("blas/libblas.so.3")
    assert all((root / name).is_dir() for name in MOUNT_POINTS)
    assert (root / "etc/passwd").read_text().startswith("root:x:0:0:")


def test_documentation_is_left_out(root: Path) -> None:
    unpack_all(root, {"a": deb(member("./usr/share/doc/a/copyright", b"c"), member("./usr/share/a/data", b"d"))})
    assert files_below(root) == {"usr/share/a/data": "d"}


def test_only_what_is_kept(root: Path) -> None:
    spec = SPEC.model_copy(update={"keep": ("usr/bin/qemu-arm", "usr/lib/*")})
    content = deb(
        member("./usr/bin/", mode=0o755, kind=tarfile.DIRTYPE),
        member("./usr/bin/qemu-arm", b"1"),
        member("./usr/bin/qemu-mips", b"2"),
        member("./usr/lib/a/b.so", b"3"),
        member("./usr/share/", mode=0o755, kind=tarfile.DIRTYPE),
        member("./var/x", b"4"),
    )
    unpack_all(root, {"qemu-user": content}, spec=spec)
    assert files_below(root) == {"usr/bin/qemu-arm": "1", "usr/lib/a/b.so": "3"}
    assert not (root / "usr/share").exists()


def test_setuid_and_write_for_all_are_dropped(root: Path) -> None:
    unpack_all(root, {"sudo": deb(member("./usr/bin/sudo", b"", mode=0o6777), member("./usr/x", b"", mode=0o1666))})
    assert stat.S_IMODE((root / "usr/bin/sudo").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "usr/x").stat().st_mode) == 0o644


def test_pipes_and_devices_are_left_out(root: Path) -> None:
    content = deb(
        member("./dev/pipe", kind=tarfile.FIFOTYPE), member("./dev/null", kind=tarfile.CHRTYPE), member("./usr/y", b"y")
    )
    unpack_all(root, {"makedev": content})
    assert files_below(root) == {"usr/y": "y"}
    assert list((root / "dev").iterdir()) == []


def traversal(outside: Path) -> list[Member]:
    return [member(f"../../{outside.name}/secret", b"changed")]


def absolute_path(outside: Path) -> list[Member]:
    return [member(f"{outside}/secret", b"changed")]


def through_a_relative_link(outside: Path) -> list[Member]:
    return [
        member("./usr/way", kind=tarfile.SYMTYPE, link=f"../../../{outside.name}"),
        member("./usr/way/secret", b"changed"),
    ]


def through_an_absolute_link(outside: Path) -> list[Member]:
    return [member("./usr/way", kind=tarfile.SYMTYPE, link=str(outside)), member("./usr/way/secret", b"changed")]


def hard_link(outside: Path) -> list[Member]:
    return [
        member("./usr/way", kind=tarfile.LNKTYPE, link=f"../../{outside.name}/secret"),
        member("./usr/way", b"changed"),
    ]


def absolute_hard_link(outside: Path) -> list[Member]:
    return [member("./usr/way", kind=tarfile.LNKTYPE, link=f"{outside}/secret"), member("./usr/way", b"changed")]


def hard_link_through_a_link(outside: Path) -> list[Member]:
    return [
        member("./usr/way", kind=tarfile.SYMTYPE, link=str(outside)),
        member("./usr/file", kind=tarfile.LNKTYPE, link="./usr/way/secret"),
        member("./usr/file", b"changed"),
    ]


def file_over_a_link(outside: Path) -> list[Member]:
    return [
        member("./usr/way", kind=tarfile.SYMTYPE, link=f"{outside}/secret"),
        member("./usr/way", b"changed"),
    ]


_REFUSED = re.compile(r"pool/main/e/evil/evil_1\.0-1_arm64\.deb: '.*' would be written outside its folder")


@pytest.mark.parametrize(
    "attack",
    [
        traversal,
        absolute_path,
        through_a_relative_link,
        through_an_absolute_link,
        hard_link,
        absolute_hard_link,
        hard_link_through_a_link,
        file_over_a_link,
    ],
)
def test_hostile_package(attack: Callable[[Path], list[Member]], root: Path, outside: Path) -> None:
    refusal: str | None = None
    try:
        unpack_all(root, {"evil": deb(*attack(outside))})
    except DataFileError as error:
        refusal = error.message
    assert refusal is None or re.fullmatch(
        r"pool/main/e/evil/evil_1\.0-1_arm64\.deb: '.*' would be written outside its folder", refusal
    )
    assert (refusal is None) == (attack is absolute_path), "that one lands inside the root"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    secret = outside / "secret"
    assert (secret.read_text(), secret.stat().st_nlink) == ("untouched", 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"!<arch>\n", b"no archive", deb()[:100], wheel({"a": b""}), deb(member("./a", os.urandom(9000)))[:-5000]],
    ids=["empty", "ar without members", "text", "cut off early", "zip", "cut off late"],
)
def test_damaged_package(content: bytes, root: Path) -> None:
    with pytest.raises(DataFileError, match=r"broken_1\.0-1_arm64\.deb: cannot be unpacked: "):
        unpack_all(root, {"broken": content})


def test_damage_within_the_compressed_data(root: Path) -> None:
    content = bytearray(deb(member("./a", os.urandom(90_000))))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(DataFileError, match="cannot be unpacked: "):
        unpack_all(root, {"broken": bytes(content)})


def test_package_that_is_damaged_in_the_cache(root: Path) -> None:
    content = deb(member("./a", b"1"))
    downloads = Downloads(root.parents[1] / "downloads")
    downloads.add(content, sha256=sha256(content), name="a")
    downloads.path(sha256(content)).write_bytes(b"rotten")
    with pytest.raises(DataFileError, match="the cached copy of a is damaged"):
        unpack(SPEC, lock([locked_deb("a", content)]), downloads, root, Silent())


def test_a_wheel_is_spread_as_pip_does(root: Path) -> None:
    """tflite-runtime 2.7.0 has all its files below purelib."""
    below = {f"x-1.data/{kind}/{kind}/__init__.py": b"1" for kind in ("purelib", "platlib")}
    unpack_all(root, {}, {"tflite-runtime": wheel({**below, "x-1.data/scripts/run": b"", "a.data/b": b""})})
    (opt,) = (root / "opt").iterdir()
    assert {str(path.relative_to(opt)) for path in opt.rglob("*") if path.is_file()} == {
        *("purelib/__init__.py", "platlib/__init__.py", "x-1.data/scripts/run", "a.data/b")
    }


def test_wheel_lands_in_its_runtime_s_folder(root: Path) -> None:
    unpack_all(root, {}, {"tflite-runtime": wheel({"tflite_runtime/__init__.py": b"1", "x.dist-info/RECORD": b""})})
    assert files_below(root / "opt") == {
        "tflite-runtime-2.14.0/tflite_runtime/__init__.py": "1",
        "tflite-runtime-2.14.0/x.dist-info/RECORD": "",
    }


@pytest.mark.parametrize("name", ["../evil.py", "a/../../evil.py", "/tmp/evil.py", "../../../../outside/secret"])
def test_hostile_wheel(name: str, root: Path, outside: Path) -> None:
    with pytest.raises(DataFileError) as caught:
        unpack_all(root, {}, {"evil": wheel({name: b"changed"})})
    assert caught.value.message == (f"evil-2.14.0-py3-none-any.whl: {name!r} would be written outside its folder")
    assert (outside / "secret").read_text() == "untouched"
    assert not list(root.rglob("evil.py"))


def test_wheel_with_a_link(root: Path, outside: Path) -> None:
    import io  # noqa: PLC0415
    import zipfile  # noqa: PLC0415

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("way")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(outside))
        archive.writestr("way/secret", "changed")
    with pytest.raises(DataFileError, match="'way' would be written outside its folder"):
        unpack_all(root, {}, {"evil": buffer.getvalue()})
    assert (outside / "secret").read_text() == "untouched"


@pytest.mark.parametrize("content", [b"", b"no zip", wheel({"a": b"1" * 500})[:-30]])
def test_damaged_wheel(content: bytes, root: Path) -> None:
    with pytest.raises(DataFileError, match=r"broken-2\.14\.0-py3-none-any\.whl: "):
        unpack_all(root, {}, {"broken": content})
