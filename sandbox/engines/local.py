"""The default engine: bubblewrap and the locked QEMU. No daemon, no root.

The guest gets new namespaces for everything (no network, no other processes), the image as a read-only ``/``, its
run folder, and a private /tmp. The same sandbox without QEMU is the `native` engine.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from sandbox import process
from sandbox.errors import HostError
from sandbox.image.emulator import Emulator

from .base import GUEST_RUN_DIR, Cancelled, EngineName, Job, Outcome, Problem, signal_of
from .counting import counted
from .gate import REPORT_BYTES, Gate, gate
from .guard import SANDBOX_MARK, Guard, kill_sandbox
from .memory_limit import open_limit
from .memory_meter import MemoryMeter, Reading

GUEST_EMULATOR = Path("/emulator")
TICK_SECONDS = 0.01
FIRST_EMULATOR_BYTES = 96 << 20
"""What the emulator may use before its use has been measured for the first time."""
NEAR_BYTES = 16 << 20
"""This close to its limit a guest is looked at in every tick."""
_STDERR_BYTES = 64 << 10
_SANDBOX = ("bwrap", "ld-linux")
_OPEN_NAMESPACES = (
    "Ubuntu 23.10+: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; Debian: sudo sysctl "
    "kernel.unprivileged_userns_clone=1; in a container: run it with --privileged, or --security-opt "
    "seccomp=unconfined --security-opt systempaths=unconfined; or use --engine docker; or --no-isolation for a model "
    "that you trust"
)


class LocalEngine:
    """Runs jobs in a bubblewrap sandbox."""

    name: EngineName = "local"

    def __init__(self, emulator: Emulator, guard: Guard) -> None:
        self._emulator = emulator
        self._guard = guard

    def probe(self) -> Problem | None:
        """Whether this host lets a user open namespaces."""
        return probe_namespaces(self._emulator)

    def command(self, job: Job) -> tuple[str, ...]:
        """See `Engine.command`."""
        seen = self._emulator.at(GUEST_EMULATOR)
        qemu = seen.qemu(job.image.spec.architecture, cpu=job.cpu, page_size_bytes=job.page_size_bytes)
        qemu, env = counted(job, qemu, inside=True)
        sandbox = sandbox_arguments(replace(job, env={**job.env, **env}), self._emulator)
        return (*self._emulator.program("bwrap"), *sandbox, *qemu, *job.argv)

    def run(self, job: Job, cancel: threading.Event) -> Outcome:
        """See `Engine.run`."""
        return run_limited(
            self.command(job),
            job,
            cancel,
            guard=self._guard,
            env={},
            isolation="bubblewrap",
            emulator=f"QEMU {self._emulator.version}",
        )


def probe_namespaces(emulator: Emulator) -> Problem | None:
    """Try a sandbox around nothing, with all that a job's has."""
    sandbox = ("--unshare-all", "--die-with-parent", "--ro-bind", str(emulator.root), "/")
    mounts = ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
    nothing = (*emulator.at(Path("/")).program("bwrap"), "--version")
    done = process.run((*emulator.program("bwrap"), *sandbox, *mounts, *nothing), timeout=20, env={})
    if done.returncode == 0:
        return None
    reason = (done.stderr.strip().splitlines() or ["bubblewrap failed without a word"])[-1]
    return Problem(reason=f"this host does not let you open namespaces ({reason})", hint=_OPEN_NAMESPACES)


def sandbox_arguments(job: Job, emulator: Emulator | None) -> tuple[str, ...]:
    """bubblewrap's options for a job: pure, so that ``--dry-run`` shows what runs."""
    words = ["--unshare-all", SANDBOX_MARK, "--new-session", "--cap-drop", "ALL", "--clearenv"]
    words += ["--uid", "1000", "--gid", "1000", "--hostname", job.hostname]
    words += ["--ro-bind", str(job.image.root), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    words += ["--tmpfs", "/sys", "--tmpfs", "/edge"]
    if emulator is not None:
        words += ["--ro-bind", str(emulator.root), str(GUEST_EMULATOR)]
    for mount in job.mounts:
        words += ["--ro-bind", str(mount.source), mount.target]
    words += ["--bind", str(job.run_dir), GUEST_RUN_DIR, "--chdir", job.cwd]
    for key, value in sorted(job.env.items()):
        words += ["--setenv", key, value]
    return tuple(words)


def run_limited(
    argv: tuple[str, ...],
    job: Job,
    cancel: threading.Event,
    *,
    guard: Guard,
    env: Mapping[str, str],
    isolation: str,
    emulator: str | None,
) -> Outcome:
    """Run ``argv`` under the job's memory limit and time-out, metering the guest. See `Engine.run` for the errors."""
    emulator_bytes = FIRST_EMULATOR_BYTES if emulator else 0
    allowed = None if job.memory_limit_bytes is None else job.memory_limit_bytes + emulator_bytes
    limit = open_limit(f"{job.name}-{uuid.uuid4().hex[:12]}", allowed, emulated=emulator is not None)
    with contextlib.ExitStack() as stack:
        stack.callback(limit.close)
        if limit.directory is not None:
            stack.enter_context(guard.protect("cgroup", str(limit.directory)))
        if isolation == "bubblewrap":
            stack.enter_context(guard.protect("sandbox", str(job.run_dir)))
            stack.callback(kill_sandbox, str(job.run_dir))
        printed = None if job.attached else stack.enter_context((job.run_dir / "stderr.txt").open("w+b"))
        report_gate = stack.enter_context(gate(job.run_dir)) if job.stops_at_gate else None
        started = time.monotonic()
        running = stack.enter_context(
            process.start((*limit.launcher, *argv), env=env, stdout=printed, stderr=printed, stdin=job.attached)
        )
        stack.enter_context(guard.protect("process_group", str(running.pid)))
        # the emulator is started by its loader, as bubblewrap is: only its addresses tell it from the guest
        meter = MemoryMeter(running.pid, emulated=emulator is not None, sandbox_programs=() if emulator else _SANDBOX)
        watch = LimitWatch(job, limit, meter, cancel, report_gate)
        ended = process.wait(running, timeout=job.timeout_seconds, interval=TICK_SECONDS, go_on=watch.go_on)
        out_of_memory = watch.over_limit or limit.kills() > 0
        (process.kill if watch.over_limit else process.stop)(running)
        text = read_end(printed) if printed else ""
    if cancel.is_set():
        raise Cancelled
    code, number = signal_of(running.returncode)
    if text.startswith("bwrap: ") and ended == "ended":
        raise HostError(f"the sandbox could not be set up: {text.splitlines()[0]}", hint="edge-sandbox doctor")
    return Outcome(
        exit_code=code if ended == "ended" else None,
        signal=number,
        timed_out=ended == "timeout",
        out_of_memory=out_of_memory,
        limit_mechanism=limit.mechanism,
        isolation=isolation,
        emulator=emulator,
        seconds=time.monotonic() - started,
        stderr=text,
        memory=meter.trace(),
    )


class MovableLimit(Protocol):
    """What `LimitWatch` needs of a limit: `MemoryLimit` here, a container's elsewhere."""

    @property
    def enforced(self) -> bool:
        """Whether somebody else kills at the limit."""
        ...

    def set(self, limit_bytes: int) -> None:
        """Move it."""
        ...

    def kills(self) -> int:
        """How many processes it has cost so far."""
        ...

    def room_bytes(self) -> int:
        """What it must leave beside the guest's and the emulator's pages."""
        ...


class LimitWatch:
    """What happens at every tick: look for an interruption, read memory, move and check the limit.

    The limit leaves room for what the emulator adds until the next tick, so the guest may take that for a moment. It is
    over as soon as it is seen to hold more of its own than its limit: pages of files the kernel would drop.

    Once the guest waits at ``gate``, its memory is read for the last time, and its limit widened for the report.
    """

    def __init__(
        self,
        job: Job,
        limit: MovableLimit,
        meter: MemoryMeter | None,
        cancel: threading.Event,
        report_gate: Gate | None = None,
    ) -> None:
        self._limit, self._meter, self._cancel, self._gate = limit, meter, cancel, report_gate
        self._limit_bytes = job.memory_limit_bytes
        self._own = 0
        self.over_limit = False

    def go_on(self) -> bool:
        """False when the run must end now: interrupted, or above a limit that no kernel enforces."""
        if self._cancel.is_set():
            return False
        waits = self._gate is not None and self._gate.is_reached()
        read = (
            None
            if self._meter is None
            else self._meter.finish()
            if waits
            else self._meter.tick(closely=self._is_near())
        )
        self._limit.kills()
        if read is not None:
            self._apply(read)
        if waits and self._gate is not None and not self.over_limit:
            if self._limit_bytes is not None:
                self._limit_bytes += REPORT_BYTES
            if read is not None:
                self._apply(read)
            self._gate.let_pass()
        return not self.over_limit

    def _apply(self, read: Reading) -> None:
        if not read.guest or self._limit_bytes is None:
            return  # not started yet, or not readable: the first allowance stands
        self._own = read.guest_own
        self.over_limit = self._own > self._limit_bytes
        if not self.over_limit:
            self._limit.set(self._limit_bytes + read.emulator_anonymous + self._limit.room_bytes())

    def _is_near(self) -> bool:
        """Whether the limit may be reached before memory is next read for another reason."""
        return self._limit_bytes is not None and self._own + NEAR_BYTES > self._limit_bytes


def read_end(printed: IO[bytes]) -> str:
    """The end of what a job printed, from the file opened before it ran: the name may lead elsewhere by now."""
    printed.seek(max(0, printed.seek(0, os.SEEK_END) - _STDERR_BYTES))
    return printed.read().decode(errors="replace")
