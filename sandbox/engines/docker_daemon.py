"""The user's Docker daemon: reach it, learn what it is, see that it sees our files, hand it our images.

Nothing is ever pulled: an image comes from the same unpacked folder that the local engine uses, as a tar stream.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import socket
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import HostError
from sandbox.image.emulator import Emulator
from sandbox.image.spec import Architecture
from sandbox.image.store import BuiltImage

if TYPE_CHECKING:
    from docker import DockerClient

_ARCHITECTURES: dict[str, Architecture] = {"x86_64": "amd64", "aarch64": "arm64"}
_OLDEST_API = (1, 41)
"""Docker Engine 20.10, the oldest that this is tested with."""
_REPLY_SECONDS = 300.0
"""How long the daemon may take for one answer; an image of 300 MB takes it a few seconds."""
_CHECK_SECONDS = 30.0
_NOTHING = "edge-sandbox/nothing:latest"
_EMPTY_TAR = bytes(2 * tarfile.BLOCKSIZE)
_UNSEEN = ("bind source path does not exist", "mounts denied", "is not shared from")
_USE_LOCAL = "or use --engine local, which needs no daemon"
_START = f"sudo systemctl start docker (without systemd: sudo dockerd &); {_USE_LOCAL}"


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """What a job's container depends on."""

    architecture: Architecture
    cgroup_version: str = "1"
    limits_memory: bool = True
    rootless: bool = False
    """It runs as the user: root in a container is that user, and no other user's files are."""


@contextlib.contextmanager
def connect() -> Iterator[DockerClient]:
    """A connection to the daemon that ``DOCKER_HOST`` or the default socket names.

    Raises `HostError` when there is none, now or later in the block: absent, stopped, forbidden and unwilling each say
    so in their own words.
    """
    # imported late: only a run with containers pays for it
    from docker import from_env  # noqa: PLC0415
    from docker.errors import APIError, DockerException  # noqa: PLC0415
    from docker.utils import parse_host  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        _knock(str(parse_host(os.environ.get("DOCKER_HOST"))))
        client = from_env(timeout=int(_REPLY_SECONDS))
    except (DockerException, OSError, ValueError) as error:
        raise _unreachable(error) from error
    with contextlib.closing(client):
        try:
            yield client
        except APIError as error:
            raise _refused(error.explanation or str(error)) from error
        except (DockerException, RequestException) as error:
            raise HostError(f"the Docker daemon went away: {error}", hint=_START) from error


def require_daemon() -> None:
    """Raise `HostError` where no daemon of use answers: to be asked before an image is built for one."""
    try:
        with connect() as client:
            describe(client)
    except HostError as error:
        raise HostError(f"engine docker: {error.message}", hint=error.hint or "use --engine local") from error


def describe(client: DockerClient) -> Daemon:
    """What the daemon is. Raises `HostError` for one too old, or one that runs no Linux programs of ours."""
    version = str(client.version()["ApiVersion"])
    if tuple(int(part) for part in version.split(".")) < _OLDEST_API:
        wanted = ".".join(str(part) for part in _OLDEST_API)
        raise HostError(
            f"the Docker daemon speaks API {version}, this needs {wanted}",
            hint=f"install Docker Engine 20.10 or newer, {_USE_LOCAL}",
        )
    info = client.info()
    architecture = _ARCHITECTURES.get(info["Architecture"])
    if architecture is None or info["OSType"] != "linux":
        raise HostError(
            f"the Docker daemon runs {info['OSType']} containers on {info['Architecture']}",
            hint=f"use one for Linux on x86-64 or 64-bit ARM, {_USE_LOCAL}",
        )
    return Daemon(
        architecture=architecture,
        cgroup_version=str(info.get("CgroupVersion") or "1"),
        limits_memory=bool(info.get("MemoryLimit")),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
    )


def check_files(client: DockerClient, daemon: Daemon, emulator: Emulator) -> None:
    """Raise `HostError` unless a container sees a folder made just now and can start the locked programs.

    A daemon on another machine, or one shut in a virtual machine or a snap, does not see this host's files, and says
    so when the container is made.
    """
    from docker.errors import ImageNotFound  # noqa: PLC0415
    from docker.types import Mount  # noqa: PLC0415

    try:
        client.images.get(_NOTHING)
    except ImageNotFound:
        client.api.import_image_from_data(_EMPTY_TAR, repository=_NOTHING.partition(":")[0], tag="latest")
    guest = Path("/emulator")
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-probe-") as marker:
        container = client.containers.create(
            _NOTHING,
            [*emulator.at(guest).program("bwrap"), "--version"],
            name=f"edge-sandbox-probe-{uuid.uuid4().hex[:12]}",
            labels={"edge-sandbox": str(os.getpid())},
            network_mode="none",
            cap_drop=["ALL"],
            init=True,
            mounts=[
                Mount(str(guest), str(emulator.root), type="bind", read_only=True),
                Mount("/marker", marker, type="bind", read_only=True),
            ],
        )
        try:
            if daemon.architecture == emulator.architecture:
                container.start()
                status = container.wait(timeout=_CHECK_SECONDS)["StatusCode"]
                if status != 0:
                    last = (container.logs().decode(errors="replace").strip().splitlines() or ["no message"])[-1]
                    raise HostError(
                        f"a container cannot start the locked programs ({last})", hint=f"docker info, {_USE_LOCAL}"
                    )
        finally:
            container.remove(force=True)


def image_reference(image: BuiltImage) -> str:
    """The image's name in Docker: equal names mean equal bytes."""
    return f"edge-sandbox/{image.spec.id}:{image.lock.digest[:16]}"


def ensure_image(client: DockerClient, image: BuiltImage) -> str:
    """Import the image unless the daemon has it; its name. Threads and processes that ask at once import it once.

    Docker 20.10 marks every import as made for its own architecture, whatever it is told, and then looks for a
    registry when ``platform`` is given on start: so it never is.
    """
    from docker.errors import ImageNotFound  # noqa: PLC0415

    reference = image_reference(image)
    with _alone(image.directory):
        with contextlib.suppress(ImageNotFound):
            client.images.get(reference)
            return reference
        repository, _, tag = reference.partition(":")
        client.api.import_image_from_stream(tar_stream(image.root), repository=repository, tag=tag)
        client.images.get(reference)
    return reference


def tar_stream(root: Path) -> Iterator[bytes]:
    """The folder as a tar file, piece by piece, the same bytes every time: sorted, and root's.

    Time stamps stay, in whole seconds: Python throws compiled files away whose source has another one.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            archive.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_as_root)
            yield from _take(buffer)
    yield from _take(buffer)


def _take(buffer: io.BytesIO) -> Iterator[bytes]:
    if data := buffer.getvalue():  # an empty piece would end a chunked request
        yield data
        buffer.seek(0)
        buffer.truncate()


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(member.mtime)
    return member


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _knock(address: str) -> None:
    """Connect to a local socket once, for the system's own error: the SDK buries it, and leaves its socket open."""
    scheme, _, path = address.partition("://")
    if scheme == "http+unix":
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.connect(path)


def _unreachable(error: Exception) -> HostError:
    host = os.environ.get("DOCKER_HOST")
    if isinstance(error, PermissionError):
        return HostError(
            "this user may not use the Docker daemon (permission denied on its socket)",
            hint=f"sudo usermod -aG docker $USER, and log in again; {_USE_LOCAL}",
        )
    if "no longer supported" in str(error):
        return HostError(f"the Docker daemon is too old: {error}", hint=f"install Docker Engine 20.10, {_USE_LOCAL}")
    if host:
        return HostError(
            f"no Docker daemon answers at DOCKER_HOST={host}", hint=f"correct or unset DOCKER_HOST, {_USE_LOCAL}"
        )
    if isinstance(error, FileNotFoundError) and not (shutil.which("dockerd") or shutil.which("docker")):
        return HostError(
            "Docker is not installed", hint=f"Debian, Ubuntu: sudo apt-get install docker.io; {_USE_LOCAL}"
        )
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return HostError("the Docker daemon is not running", hint=_START)
    return HostError(f"the Docker daemon does not answer: {error}", hint=_START)


def _refused(explanation: str) -> HostError:
    if any(words in explanation for words in _UNSEEN):
        return HostError(
            f"the Docker daemon does not see this host's files ({explanation})",
            hint=f"use a daemon on this host, or share the folder with it; {_USE_LOCAL}",
        )
    return HostError(f"Docker refused: {explanation}", hint=f"docker info, {_USE_LOCAL}")
