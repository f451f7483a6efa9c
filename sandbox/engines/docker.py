"""Jobs in Docker containers: the same image and the same locked QEMU as the local engine, another jail.

The emulator is mounted into the container and started by its own loader: a binfmt handler would be of whatever version
and default core the host has. binfmt serves only a daemon of an architecture that the emulator is not locked for, and
the outcome says so. A daemon of the image's own architecture needs neither.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from sandbox.errors import HostError
from sandbox.image.emulator import Emulator

from .base import Cancelled, EngineName, Job, MemoryTrace, Mount, Outcome, Problem, signal_of
from .counting import counted
from .docker_container import Container
from .docker_daemon import Daemon, check_files, connect, describe, ensure_image, image_reference
from .gate import gate
from .guard import Guard
from .local import FIRST_EMULATOR_BYTES, GUEST_EMULATOR, TICK_SECONDS, LimitWatch, read_end
from .memory_limit import EMULATOR_LAG_BYTES
from .memory_meter import MemoryMeter

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container as Handle

Way = Literal["locked emulator", "binfmt", "direct"]

_NEXT_LIMIT_BYTES = 2 << 20
"""A limit is moved when it has changed by more: every move is a request to the daemon."""
_ROOM_BYTES = EMULATOR_LAG_BYTES + (4 << 20)
_LATE_EVENT_SECONDS = 0.5
"""How long after the exit the daemon may need to note that it was for want of memory."""
_BINFMT = "register QEMU with the Docker host's kernel (its package is qemu-user-static), or use --engine local"


class DockerEngine:
    """Runs jobs in containers of the user's Docker daemon, which must see this host's files."""

    name: EngineName = "docker"

    def __init__(self, emulator: Emulator, guard: Guard) -> None:
        self._emulator = emulator
        self._guard = guard
        self._daemon: Daemon | None = None

    def probe(self) -> Problem | None:
        """Whether a daemon is there, may be used, is new enough, and sees and starts our files."""
        try:
            with connect() as client:
                daemon = describe(client)
                check_files(client, daemon, self._emulator)
        except HostError as error:
            return Problem(reason=error.message, hint=error.hint or "use --engine local")
        self._daemon = daemon
        return None

    def command(self, job: Job) -> tuple[str, ...]:
        """See `Engine.command`. Before a probe the daemon is taken to be of this host's architecture."""
        daemon = self._daemon or Daemon(architecture=self._emulator.architecture)
        return self._container(job, daemon).command_line()

    def run(self, job: Job, cancel: threading.Event) -> Outcome:
        """See `Engine.run`."""
        with connect() as client:
            daemon = self._daemon = self._daemon or describe(client)
            ensure_image(client, job.image)
            return self._run(client, daemon, job, cancel)

    def _way(self, job: Job, daemon: Daemon) -> Way:
        if job.image.spec.architecture == daemon.architecture:
            return "direct"
        return "locked emulator" if self._emulator.architecture == daemon.architecture else "binfmt"

    def _container(self, job: Job, daemon: Daemon) -> Container:
        way = self._way(job, daemon)
        argv, env, mounts = job.argv, dict(job.env), job.mounts
        if way == "locked emulator":
            seen = self._emulator.at(GUEST_EMULATOR)
            qemu = seen.qemu(job.image.spec.architecture, cpu=job.cpu, page_size_bytes=job.page_size_bytes)
            qemu, counting_env = counted(job, qemu, inside=True)
            argv, env = (*qemu, *argv), {**env, **counting_env}
            mounts = (Mount(source=self._emulator.root, target=str(GUEST_EMULATOR)), *mounts)
        elif way == "binfmt":
            env |= {"QEMU_CPU": job.cpu, "QEMU_PAGESIZE": str(job.page_size_bytes)}
        limited = job.memory_limit_bytes is not None and daemon.limits_memory
        allowance = 0 if way == "direct" else FIRST_EMULATOR_BYTES
        return Container(
            image=image_reference(job.image),
            argv=argv,
            env=env,
            hostname=job.hostname,
            user="0:0" if daemon.rootless else f"{os.getuid()}:{os.getgid()}",
            run_dir=job.run_dir,
            mounts=mounts,
            memory_bytes=(job.memory_limit_bytes or 0) + allowance if limited else None,
        )

    def _run(self, client: DockerClient, daemon: Daemon, job: Job, cancel: threading.Event) -> Outcome:
        way = self._way(job, daemon)
        wanted = self._container(job, daemon)
        name = f"edge-sandbox-{job.name}-{uuid.uuid4().hex[:12]}"
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._guard.protect("container", name))  # by name, so that no moment is left between
            handle = client.containers.create(name=name, **wanted.options())
            stack.callback(handle.remove, force=True)
            limit = _DockerLimit(handle, wanted.memory_bytes)
            stderr = stack.enter_context((job.run_dir / "stderr.txt").open("w+b"))
            output = _Output(handle, stderr)
            handle.start()
            output.start()
            meter = _meter(handle, emulated=way != "direct")
            # a container whose processes this host does not see may not see this host's pipes either
            report_gate = stack.enter_context(gate(job.run_dir)) if job.stops_at_gate and meter else None
            watch = LimitWatch(job, limit, meter, cancel, report_gate)
            ended = _follow(output, watch, job.timeout_seconds)
            if ended != "ended":
                _kill(handle)
            status = output.status()
            text = read_end(stderr)
            out_of_memory = watch.over_limit or _killed_for_memory(handle, status)
        if cancel.is_set():
            raise Cancelled
        if way == "binfmt" and "exec format error" in text.lower():
            raise HostError(
                f"the Docker host cannot run {job.image.spec.architecture} programs: no binfmt handler", hint=_BINFMT
            )
        code, number = signal_of(status)
        return Outcome(
            exit_code=code if ended == "ended" else None,
            signal=number,
            timed_out=ended == "timeout",
            out_of_memory=out_of_memory,
            limit_mechanism=_mechanism(job, daemon),
            isolation="docker",
            emulator=self._emulator_name(way),
            seconds=time.monotonic() - started,
            stderr=text,
            memory=meter.trace() if meter else MemoryTrace(unavailable="this host does not see into the container"),
        )

    def _emulator_name(self, way: Way) -> str | None:
        if way == "direct":
            return None
        return f"QEMU {self._emulator.version}" if way == "locked emulator" else "binfmt QEMU of the Docker host"


class _DockerLimit:
    """The container's memory limit, moved as the emulator's share is measured."""

    def __init__(self, handle: Handle, limit_bytes: int | None) -> None:
        self._handle = handle
        self._limit_bytes = limit_bytes

    @property
    def enforced(self) -> bool:
        """See `memory_limit.MemoryLimit.enforced`."""
        return self._limit_bytes is not None

    def set(self, limit_bytes: int) -> None:
        """Move the limit, unless it hardly changes. A container that has just ended refuses, and needs none."""
        from docker.errors import APIError  # noqa: PLC0415

        if self._limit_bytes is None or abs(limit_bytes - self._limit_bytes) <= _NEXT_LIMIT_BYTES:
            return
        with contextlib.suppress(APIError):
            self._handle.update(mem_limit=limit_bytes, memswap_limit=limit_bytes)
            self._limit_bytes = limit_bytes

    def kills(self) -> int:
        """Docker tells at the end only."""
        return 0

    def room_bytes(self) -> int:
        """For the kernel's own memory, which Docker does not tell, and for the moves that are left out."""
        return _ROOM_BYTES


class _Output(threading.Thread):
    """Writes all that the container prints into a file, then waits for its exit status. Attach before the start."""

    def __init__(self, handle: Handle, file: IO[bytes]) -> None:
        super().__init__(daemon=True, name=f"output of {handle.name}")
        self._handle = handle
        self._file = file
        self._stream = handle.attach(stdout=True, stderr=True, stream=True, logs=False)
        self._status: int | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """The thread's work; an error waits for `status`."""
        try:
            # the stream's own close leaves its socket to the garbage collector
            response = self._stream._response  # type: ignore[attr-defined]  # noqa: SLF001
            with contextlib.closing(response):
                for piece in self._stream:
                    self._file.write(piece)
            self._status = int(self._handle.wait()["StatusCode"])
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that asks
            self._error = error

    def status(self) -> int:
        """The exit status, once the container has ended."""
        self.join()
        if self._status is None:
            raise self._error or AssertionError("a thread that ends without a status has an error")
        return self._status


def _follow(output: _Output, watch: LimitWatch, timeout_seconds: float) -> Literal["ended", "timeout", "stopped"]:
    deadline = time.monotonic() + timeout_seconds
    while output.is_alive():
        if time.monotonic() > deadline:
            return "timeout"
        if not watch.go_on():
            return "stopped"
        output.join(TICK_SECONDS)
    return "ended"


def _meter(handle: Handle, *, emulated: bool) -> MemoryMeter | None:
    """A meter of the container's processes, when this host has them under the number that the daemon knows."""
    handle.reload()
    pid = int(handle.attrs["State"]["Pid"])
    try:
        cgroups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None
    return MemoryMeter(pid, emulated=emulated, sandbox_programs=("docker-init",)) if str(handle.id) in cgroups else None


def _kill(handle: Handle) -> None:
    from docker.errors import APIError  # noqa: PLC0415

    with contextlib.suppress(APIError):  # it ended by itself meanwhile
        handle.kill()


def _killed_for_memory(handle: Handle, status: int) -> bool:
    """Docker's own word for it, which may come a moment after the exit."""
    deadline = time.monotonic() + (_LATE_EVENT_SECONDS if status == 137 else 0)
    handle.reload()
    while not handle.attrs["State"]["OOMKilled"] and time.monotonic() < deadline:
        time.sleep(TICK_SECONDS)
        handle.reload()
    return bool(handle.attrs["State"]["OOMKilled"])


def _mechanism(job: Job, daemon: Daemon) -> str:
    if job.memory_limit_bytes is None:
        return "none"
    return f"docker (cgroup v{daemon.cgroup_version})" if daemon.limits_memory else "watchdog"
