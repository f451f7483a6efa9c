"""The docker engine's own promises: what its probe says, and how images get into Docker."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.engines.base import Mount
from sandbox.engines.docker import DockerEngine
from sandbox.engines.docker_daemon import (
    Daemon,
    check_files,
    connect,
    describe,
    ensure_image,
    image_reference,
    tar_stream,
)
from sandbox.engines.guard import Guard
from sandbox.errors import HostError
from sandbox.image.emulator import Emulator, host_architecture
from sandbox.image.store import BuiltImage
from tests import host

from .conftest import Subject

EMULATOR = Emulator(version="0", digest="0", architecture="amd64", triplet="x86_64-linux-gnu", root=Path("/nowhere"))


def problem() -> tuple[str, str]:
    found = DockerEngine(EMULATOR, Guard(io.BytesIO())).probe()
    assert found is not None
    return found.reason, found.hint


@contextlib.contextmanager
def fake_daemon(**answers: dict[str, Any]) -> Iterator[str]:
    """A daemon that knows how to answer ``/version`` and ``/info`` and nothing else; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path.rpartition("/")[2], {"message": "not here"})).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def refuse_connections(monkeypatch: pytest.MonkeyPatch, cause: OSError, programs: set[str]) -> None:
    """A host with only those programs, whose default socket answers with that error."""

    def knock(_address: str) -> None:
        raise cause

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("sandbox.engines.docker_daemon._knock", knock)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name in programs else None)


def test_absent_stopped_and_forbidden_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_connections(monkeypatch, FileNotFoundError(2, "No such file or directory"), programs=set())
    absent = problem()
    assert "not installed" in absent[0]
    assert "docker.io" in absent[1]
    refuse_connections(monkeypatch, FileNotFoundError(2, "No such file or directory"), programs={"dockerd"})
    stopped = problem()
    assert "not running" in stopped[0]
    assert "systemctl start docker" in stopped[1]
    refuse_connections(monkeypatch, ConnectionRefusedError(111, "Connection refused"), programs={"docker"})
    assert problem() == stopped
    refuse_connections(monkeypatch, PermissionError(13, "Permission denied"), programs={"docker"})
    forbidden = problem()
    assert "permission denied" in forbidden[0]
    assert "usermod -aG docker" in forbidden[1]


def test_an_address_that_nobody_answers_at_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    reason, hint = problem()
    assert f"DOCKER_HOST=unix://{tmp_path}/none.sock" in reason
    assert "DOCKER_HOST" in hint


@pytest.mark.parametrize(
    ("version", "info", "words"),
    [
        ("1.23", {}, "too old"),
        ("1.39", {}, "speaks API 1.39, this needs 1.41"),
        ("1.43", {"Architecture": "riscv64", "OSType": "linux"}, "linux containers on riscv64"),
        ("1.43", {"Architecture": "x86_64", "OSType": "windows"}, "windows containers on x86_64"),
    ],
)
def test_an_unfit_daemon(monkeypatch: pytest.MonkeyPatch, version: str, info: dict[str, str], words: str) -> None:
    with fake_daemon(version={"ApiVersion": version, "MinAPIVersion": "1.12"}, info=info) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        reason, hint = problem()
    assert words in reason
    assert "--engine local" in hint


def test_a_container_sees_the_same_bytes_each_time(tmp_path: Path) -> None:
    def digest(root: Path) -> str:
        return hashlib.sha256(b"".join(tar_stream(root))).hexdigest()

    for name, order in (("one", ["a", "b"]), ("two", ["b", "a"])):
        root = tmp_path / name
        (root / "usr/bin").mkdir(parents=True)
        for file in order:
            (root / file).write_text(file)
        (root / "bin").symlink_to("usr/bin")
        for path in root.rglob("*"):
            os.utime(path, (1.5, 1.25), follow_symlinks=False)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_stream(tmp_path / "one")))) as archive:
        members = archive.getmembers()
    assert [(m.name, m.uid, m.gid, m.mtime) for m in members] == [
        (name, 0, 0, 1) for name in ("a", "b", "bin", "usr", "usr/bin")
    ]
    assert members[2].issym()


@pytest.mark.engine("docker")
def test_an_image_is_imported_once_whoever_asks(tmp_path: Path) -> None:
    image = host.image_for("docker")
    small = tmp_path / "root"
    small.mkdir()
    (small / "file").write_bytes(os.urandom(1 << 20))
    lock = image.lock.model_copy(update={"resolved": "x", "image": f"contract-{os.getpid()}"})
    mine = BuiltImage(spec=image.spec.model_copy(update={"id": lock.image}), lock=lock, directory=tmp_path)

    def ask(_number: int) -> str:
        with connect() as client:
            ensure_image(client, mine)
            return str(client.images.get(image_reference(mine)).id)

    with connect() as client:
        before = {str(one.id) for one in client.images.list(all=True)}
        try:
            with ThreadPoolExecutor(3) as pool:
                ids = set(pool.map(ask, range(3)))
            assert len(ids) == 1
            assert {str(one.id) for one in client.images.list(all=True)} - before == ids
        finally:
            client.images.remove(image_reference(mine), force=True)


@pytest.mark.engine("docker")
def test_a_daemon_that_does_not_see_our_files_is_refused(tmp_path: Path) -> None:
    elsewhere = host.emulator().at(tmp_path / "not there")
    with pytest.raises(HostError, match="does not see this host's files"), connect() as client:
        check_files(client, describe(client), elsewhere)
    with connect() as client:
        assert not [c for c in client.containers.list(all=True) if str(c.name).startswith("edge-sandbox-probe")]


@pytest.mark.engine("docker")
def test_a_mount_that_the_daemon_does_not_see_is_a_host_error(protector: Guard, tmp_path: Path) -> None:
    engine, image = host.make_engine("docker", protector), host.image_for("docker")
    subject = Subject(name="docker", engine=engine, image=image, folder=tmp_path)
    with pytest.raises(HostError, match="does not see this host's files"):
        subject.run(subject.python("pass", mounts=(Mount(source=tmp_path / "gone", target="/edge/model"),)))


def test_another_daemons_architecture_changes_the_way(tmp_path: Path) -> None:
    arm = Emulator(version="0", digest="0", architecture="arm64", triplet="aarch64-linux-gnu", root=tmp_path)
    engine = DockerEngine(arm, Guard(io.BytesIO()))
    image = host.described(host.DEVICE_IMAGE, tmp_path)
    job = Subject(name="docker", engine=engine, image=image, folder=tmp_path).python("pass")
    direct = engine.command(job)
    assert direct[-len(job.argv) - 1 :] == (image_reference(image), *job.argv)
    engine._daemon = Daemon(architecture="amd64")
    by_handler = engine.command(job)
    assert by_handler[-len(job.argv) :] == job.argv
    assert "QEMU_CPU=cortex-a72" in by_handler
    assert "QEMU_PAGESIZE=4096" in by_handler
    assert "--platform" not in by_handler


@pytest.mark.engine("docker")
def test_without_the_locked_emulator_binfmt_runs_it_or_is_missed(protector: Guard, tmp_path: Path) -> None:
    stranger = dataclasses.replace(host.emulator(), architecture="armhf")
    image = host.described(host.DEVICE_IMAGE, host.image_for("docker").directory)
    if host_architecture() == image.spec.architecture:
        pytest.skip("this host runs the image without an emulator")
    subject = Subject(name="docker", engine=DockerEngine(stranger, protector), image=image, folder=tmp_path)
    try:
        assert subject.run(subject.python("pass")).emulator == "binfmt QEMU of the Docker host"
    except HostError as error:
        assert "no binfmt handler" in error.message  # noqa: PT017  # either is right, as the host has it
