"""Locks: written the same way every time, and read off what apt prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.errors import DataFileError
from sandbox.image.archives import Sources
from sandbox.image.lock import _locked_deb, _private_apt, derive_lock, write_lock
from sandbox.image.spec import LockedDeb, available_images, load_lock
from tests.unit.image.image_samples import SPEC, lock, locked_deb, locked_wheel

IMAGES = Path(__file__).parents[3] / "images"
SOURCES = Sources(mirrors=("http://m.example/debian", "http://m.example/debian-security", "file:/srv/debian"))
MAIN = "http://m.example/debian/pool/main/d/dpkg"
SECURITY = "http://m.example/debian-security/pool/updates/main/d/dpkg"
HASH = "00b2b9d112ecbfe99d8f0c3de56dd33bc242f71c8ae51c3fd1e154ab2e2eb07a"
LOCK = lock([locked_deb("libc6"), locked_deb("zlib1g", version="1:1.2.13+b1")], [locked_wheel("tflite-runtime")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / SPEC.id).mkdir()
    return tmp_path


@pytest.mark.parametrize("written", [LOCK, lock(), derive_lock(LOCK, ())])
def test_written_lock_loads_again(written: object, folder: Path) -> None:
    assert isinstance(written, type(LOCK))
    path = write_lock(written, folder)
    assert path == folder / SPEC.id / "lock.json"
    assert load_lock(SPEC.id, folder) == written


def test_writing_is_deterministic_and_one_file_a_line(folder: Path) -> None:
    first = write_lock(LOCK, folder).read_text()
    assert write_lock(load_lock(SPEC.id, folder), folder).read_text() == first
    lines = first.splitlines()
    assert lines[0] == '{"schema_version": 1, "image": "sample-arm64", "resolved": "20261121T060000Z",'
    assert lines[2].startswith('  {"name": "libc6", "version": "1.0-1", "path": "pool/main/l/libc6/libc6_1.0-1_arm64')
    assert len(lines) == 1 + 1 + 2 + 1 + 1 + 1 + 1
    assert first.endswith("\n]}\n")


@pytest.mark.parametrize(
    "image_id", [name for name in available_images(IMAGES) if (IMAGES / name / "lock.json").is_file()]
)
def test_shipped_locks_are_as_written(image_id: str, tmp_path: Path) -> None:
    (tmp_path / image_id).mkdir()
    shipped = (IMAGES / image_id / "lock.json").read_text()
    assert write_lock(load_lock(image_id, IMAGES), tmp_path).read_text() == shipped


def test_derived_lock_has_other_wheels_and_another_digest() -> None:
    derived = derive_lock(LOCK, (locked_wheel("tflite-runtime", version="2.13.0"),))
    assert derived.debs == LOCK.debs
    assert derived.wheels[0].version == "2.13.0"
    assert derived.digest != LOCK.digest


@pytest.mark.parametrize(
    ("line", "version", "path"),
    [
        (
            f"'{MAIN}/dpkg_1.21.23_arm64.deb' dpkg_1.21.23_arm64.deb 77 SHA256:{HASH}",
            "1.21.23",
            "pool/main/d/dpkg/dpkg_1.21.23_arm64.deb",
        ),
        (
            f"'{MAIN}/dpkg_2.66-4%2bdeb12u3_arm64.deb' dpkg_1%3a2.66-4+deb12u3_arm64.deb 77 SHA256:{HASH}",
            "1:2.66-4+deb12u3",
            "pool/main/d/dpkg/dpkg_2.66-4+deb12u3_arm64.deb",
        ),
        (
            f"'{SECURITY}/dpkg_12~rc1_arm64.deb' dpkg_12~rc1_arm64.deb 77 SHA256:{HASH}",
            "12~rc1",
            "pool/updates/main/d/dpkg/dpkg_12~rc1_arm64.deb",
        ),
        (f"'file:/srv/debian/pool/d/dpkg_1_all.deb' dpkg_1_all.deb 77 SHA256:{HASH}", "1", "pool/d/dpkg_1_all.deb"),
    ],
)
def test_a_line_of_apt(line: str, version: str, path: str) -> None:
    assert _locked_deb(line, SOURCES) == LockedDeb(name="dpkg", version=version, path=path, size_bytes=77, sha256=HASH)


@pytest.mark.parametrize("checksum", ["", "MD5Sum:0123", "SHA256:"])
def test_a_line_without_hash(checksum: str) -> None:
    with pytest.raises(DataFileError, match="apt printed no sha256: 'http"):
        _locked_deb(f"'http://m.example/debian/pool/a.deb' a_1_all.deb 5 {checksum}", SOURCES)


def test_a_line_of_an_archive_that_nobody_named() -> None:
    with pytest.raises(DataFileError, match=r"http://n\.example/debian/pool/a\.deb.* is in none of the archives"):
        _locked_deb(f"'http://n.example/debian/pool/a.deb' a_1_all.deb 5 SHA256:{HASH}", SOURCES)


def test_apt_is_kept_apart_from_the_host_s(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"suites": ("sample", "sample-updates", "sample-security")})
    words = _private_apt(tmp_path, spec, SOURCES, "/keys.gpg")
    options = dict(word.split("=", 1) for word in words if word != "-o")
    assert words[::2] == ["-o"] * len(options)
    assert {key: value for key, value in options.items() if key.startswith("Dir::") and str(tmp_path) not in value} == {
        "Dir::Etc::sourceparts": "-"
    }
    assert options["APT::Architecture"] == "arm64"
    assert (tmp_path / "etc/sources.list").read_text() == (
        "deb [arch=arm64 signed-by=/keys.gpg] http://m.example/debian sample main\n"
        "deb [arch=arm64 signed-by=/keys.gpg] http://m.example/debian sample-updates main\n"
        "deb [arch=arm64 signed-by=/keys.gpg] http://m.example/debian-security sample-security main\n"
    )
    assert (tmp_path / "status").read_text() == ""
