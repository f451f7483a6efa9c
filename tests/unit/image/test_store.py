"""The cache: everything appears whole or not at all, and damage is found before it is used."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.errors import DataFileError, HostError
from sandbox.image.store import Downloads, Store, remove_tree
from tests.unit.image.image_samples import SPEC, lock, locked_deb, sha256

CONTENT = b"content of a package"
HASH = sha256(CONTENT)
LOCK = lock([locked_deb("libc6")])


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def build(store: Store) -> Path:
    with store.building(LOCK) as work:
        (work / "root" / "usr").mkdir()
        (work / "root" / "usr" / "file").write_text("12345")
        (work / "root" / "link").symlink_to("usr/nowhere")
    return store.image_directory(LOCK)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file grows beyond 4 kB in the block; no longer, for the limit is on this whole process and what it prints."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class TestDownloads:
    def test_kept_by_hash(self, tmp_path: Path) -> None:
        downloads = Downloads(tmp_path / "d")
        assert not downloads.has(HASH)
        downloads.add(CONTENT, sha256=HASH, name="libc6.deb")
        assert downloads.has(HASH)
        assert downloads.verified(HASH, "libc6.deb").read_bytes() == CONTENT
        assert files_below(tmp_path) == [f"d/{HASH[:2]}/{HASH}"]
        assert list(downloads.all()) == [downloads.path(HASH)]

    def test_wrong_hash(self, tmp_path: Path) -> None:
        with pytest.raises(DataFileError) as caught:
            Downloads(tmp_path).add(b"other", sha256=HASH, name="libc6.deb")
        assert caught.value.message == f"libc6.deb: sha256 is {sha256(b'other')}, the lock says {HASH}"
        assert files_below(tmp_path) == []

    def test_a_damaged_copy_is_removed_and_named(self, tmp_path: Path) -> None:
        downloads = Downloads(tmp_path)
        downloads.add(CONTENT, sha256=HASH, name="libc6.deb")
        downloads.path(HASH).write_bytes(CONTENT[:-1])
        with pytest.raises(DataFileError) as caught:
            downloads.verified(HASH, "libc6.deb")
        assert "the cached copy of libc6.deb is damaged and was removed" in caught.value.message
        assert str(downloads.path(HASH)) in caught.value.message
        assert not downloads.has(HASH)

    def test_a_copy_that_has_vanished_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataFileError, match=r"the cached copy of libc6\.deb is gone"):
            Downloads(tmp_path).verified(HASH, "libc6.deb")

    def test_full_disk_leaves_nothing(self, tmp_path: Path) -> None:
        content = b"x" * 10_000
        with pytest.raises(HostError) as caught, full_disk():
            Downloads(tmp_path / "d").add(content, sha256=sha256(content), name="libc6.deb")
        assert "File too large" in caught.value.message
        assert files_below(tmp_path) == []

    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(HostError) as caught:
            Downloads(tmp_path / "file").add(CONTENT, sha256=HASH, name="libc6.deb")
        assert caught.value.message.startswith(f"cannot write to {tmp_path / 'file'}")
        assert "EDGE_SANDBOX_CACHE=DIR" in str(caught.value.hint)


class TestBuilding:
    def test_appears_only_when_the_block_ends(self, store: Store) -> None:
        final = store.image_directory(LOCK)
        with store.building(LOCK) as work:
            assert not final.exists()
            assert store.find(SPEC, LOCK) is None
            assert [path.name for path in work.iterdir()] == ["root"]
        assert not work.exists()
        built = store.find(SPEC, LOCK)
        assert built is not None
        assert built.root == final / "root"
        assert final.stat().st_mode & 0o777 == 0o755

    def test_a_failed_build_leaves_nothing(self, store: Store) -> None:
        def broken() -> None:
            with store.building(LOCK) as work:
                (work / "root" / "locked").mkdir(mode=0o555)
                raise DataFileError("a bad package")

        with pytest.raises(DataFileError, match="a bad package"):
            broken()
        assert list((store.directory / "images").iterdir()) == []

    def test_full_disk_says_where(self, store: Store) -> None:
        def broken() -> None:
            with store.building(LOCK) as work:
                (work / "root" / "large").write_bytes(b"x" * 10_000)

        with pytest.raises(HostError, match=r"cannot write to .*File too large"), full_disk():
            broken()
        assert list((store.directory / "images").iterdir()) == []

    def test_replaces_a_damaged_image(self, store: Store) -> None:
        final = build(store)
        (final / "root" / "usr" / "file").unlink()
        (final / "root" / "usr").chmod(0o555)
        build(store)
        assert store.find(SPEC, LOCK) is not None

    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(HostError, match=f"cannot write to {tmp_path}/file"):
            build(Store(tmp_path / "file" / "cache"))
        exclusive = Store(tmp_path / "file").exclusive("image")
        with pytest.raises(HostError, match=f"cannot write to {tmp_path}/file"):
            exclusive.__enter__()

    def test_two_at_once_build_once(self, store: Store) -> None:
        builds, seen = [], []
        barrier = threading.Barrier(4)

        def work() -> None:
            barrier.wait()
            with store.exclusive("image"):
                if store.find(SPEC, LOCK) is None:
                    builds.append(build(store))
                seen.append(store.find(SPEC, LOCK))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(builds) == 1
        assert len(seen) == 4
        assert all(each == seen[0] is not None for each in seen)


class TestDamage:
    def test_none(self, store: Store) -> None:
        assert store.damage(build(store)) is None

    def test_never_built(self, store: Store) -> None:
        directory = store.image_directory(LOCK)
        assert store.damage(directory) == str(directory / "complete.json")

    def test_missing_file(self, store: Store) -> None:
        directory = build(store)
        (directory / "root/usr/file").unlink()
        assert store.damage(directory) == str(directory / "root/usr/file")
        assert store.find(SPEC, LOCK) is None

    def test_missing_link(self, store: Store) -> None:
        directory = build(store)
        (directory / "root/link").unlink()
        assert store.damage(directory) == str(directory / "root/link")

    def test_file_cut_short(self, store: Store) -> None:
        directory = build(store)
        (directory / "root/usr/file").write_text("1234")
        assert store.damage(directory) == "usr/file"
        assert store.find(SPEC, LOCK) is None

    @pytest.mark.parametrize("content", ["", "{", "[]", "1", "null"])
    def test_marker(self, content: str, store: Store) -> None:
        directory = build(store)
        (directory / "complete.json").write_text(content)
        assert store.damage(directory) == str(directory / "complete.json")

    def test_marker_lists_every_file(self, store: Store) -> None:
        marker = json.loads((build(store) / "complete.json").read_text())
        assert marker == {"usr/file": 5, "link": len("usr/nowhere")}


def test_prune_keeps_what_is_named(store: Store) -> None:
    directory = build(store)
    other = store.directory / "images" / "old-0123456789abcdef"
    (other / "root").mkdir(parents=True)
    (other / "root" / "file").write_bytes(b"x" * 1000)
    store.downloads.add(CONTENT, sha256=HASH, name="kept")
    store.downloads.add(b"y" * 50, sha256=sha256(b"y" * 50), name="dropped")
    freed = store.prune({LOCK.digest}, {HASH})
    assert 1050 <= freed < 1050 + 64 * 1024  # folders have a size of their own
    assert directory.is_dir()
    assert not other.exists()
    assert [path.name for path in store.downloads.all()] == [HASH]
    assert store.prune(set(), set()) > 0
    assert store.find(SPEC, LOCK) is None
    assert list(store.downloads.all()) == []


def test_prune_leaves_what_another_process_is_making(store: Store) -> None:
    young, old = (store.directory / "images" / name for name in (".making-young", ".making-old"))
    part = store.downloads.path(HASH).with_name("tmpabcdefgh")
    for path in (young, old, part.parent):
        path.mkdir(parents=True)
    part.write_bytes(b"half a dow")
    os.utime(old, (0, 0))
    store.prune(set(), set())
    assert (young.exists(), old.exists(), part.exists()) == (True, False, True)
    os.utime(part, (0, 0))
    store.prune(set(), set())
    assert not part.exists()


def test_prune_of_nothing(store: Store) -> None:
    assert store.prune(set(), set()) == 0


def test_remove_tree_removes_read_only_folders(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    deep.chmod(0o555)
    (tmp_path / "a").chmod(0o555)
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()
