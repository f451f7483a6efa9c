"""The sandbox's command line: what the guest may see, and what it may not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import process
from sandbox.engines.base import Cancelled, Job, Mount, Outcome
from sandbox.engines.gate import GATE
from sandbox.engines.guard import Guard
from sandbox.engines.local import LimitWatch, LocalEngine, run_limited, sandbox_arguments
from sandbox.engines.memory_limit import MemoryLimit
from sandbox.engines.memory_meter import MemoryMeter
from sandbox.engines.native import NativeEngine
from sandbox.engines.unisolated import UnisolatedEngine, _make_prefix, _rewrite_request
from sandbox.errors import HostError
from sandbox.image.emulator import Emulator
from tests.unit.image.image_samples import built_image

EMULATOR = Emulator(
    version="7.2", digest="d" * 64, architecture="amd64", triplet="x86_64-linux-gnu", root=Path("/cache/emulator")
)


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with (tmp_path / "guarded").open("wb") as stream:
        yield Guard(stream)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "run").mkdir()
    return Job(
        name="latency",
        image=built_image(tmp_path / "image"),
        argv=("/usr/bin/python3.11", "-B", "/edge/guest/runner.py", "/edge/run/request.json"),
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
        run_dir=tmp_path / "run",
        mounts=(
            Mount(source=tmp_path / "guest", target="/edge/guest"),
            Mount(source=tmp_path / "model.tflite", target="/edge/model/model.tflite"),
        ),
        cpu="cortex-a72",
        page_size_bytes=16384,
        hostname="rpi5",
        memory_limit_bytes=None,
        timeout_seconds=20.0,
    )


def options(words: tuple[str, ...], name: str, count: int) -> list[tuple[str, ...]]:
    """The values of every ``name`` among the words."""
    return [words[at + 1 : at + 1 + count] for at, word in enumerate(words) if word == name]


def test_nothing_is_shared_with_the_host(job: Job) -> None:
    words = sandbox_arguments(job, EMULATOR)
    assert {"--unshare-all", "--die-with-parent", "--new-session", "--clearenv"} <= set(words)
    assert not {"--share-net", "--dev-bind", "--bind-try", "--symlink"} & set(words)
    assert options(words, "--cap-drop", 1) == [("ALL",)]
    assert options(words, "--uid", 1) == options(words, "--gid", 1) == [("1000",)]
    assert options(words, "--hostname", 1) == [("rpi5",)]


def test_the_run_folder_alone_is_writable(job: Job) -> None:
    words = sandbox_arguments(job, EMULATOR)
    assert options(words, "--bind", 2) == [(str(job.run_dir), "/edge/run")]
    assert options(words, "--chdir", 1) == [("/edge/run",)]


def test_a_job_may_begin_in_another_folder(job: Job) -> None:
    words = sandbox_arguments(replace(job, cwd="/edge/share"), EMULATOR)
    assert options(words, "--chdir", 1) == [("/edge/share",)]
    assert options(words, "--bind", 2) == [(str(job.run_dir), "/edge/run")]


def test_all_else_of_the_host_is_read_only_and_named(job: Job, tmp_path: Path) -> None:
    words = sandbox_arguments(job, EMULATOR)
    assert options(words, "--ro-bind", 2) == [
        (str(tmp_path / "image" / "root"), "/"),
        ("/cache/emulator", "/emulator"),
        (str(tmp_path / "guest"), "/edge/guest"),
        (str(tmp_path / "model.tflite"), "/edge/model/model.tflite"),
    ]
    assert options(words, "--tmpfs", 1) == [("/tmp",), ("/sys",), ("/edge",)]
    assert [options(words, name, 1) for name in ("--proc", "--dev")] == [[("/proc",)], [("/dev",)]]


def test_the_image_comes_before_what_is_mounted_into_it(job: Job) -> None:
    words = sandbox_arguments(job, EMULATOR)
    places = [words.index(target) for target in ("/", "/edge", "/edge/guest", "/edge/run")]
    assert places == sorted(places)


def test_environment_is_the_job_s(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "host")
    words = sandbox_arguments(job, EMULATOR)
    assert options(words, "--setenv", 2) == [("HOME", "/tmp"), ("PATH", "/usr/bin:/bin")]
    assert not [word for word in words if "SECRET" in word]


def test_command_of_the_local_engine(job: Job, guard: Guard) -> None:
    words = LocalEngine(EMULATOR, guard).command(job)
    bwrap = EMULATOR.program("bwrap")
    assert words[: len(bwrap)] == bwrap
    guest = words[len(bwrap) + len(sandbox_arguments(job, EMULATOR)) :]
    assert guest == (
        "/emulator/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "--library-path",
        "/emulator/usr/lib/x86_64-linux-gnu",
        "/emulator/usr/bin/qemu-aarch64",
        *("-cpu", "cortex-a72", "-p", "16384"),
        *job.argv,
    )


def test_command_of_the_native_engine_has_no_emulator(job: Job, guard: Guard) -> None:
    words = NativeEngine(EMULATOR, guard, "arm64").command(job)
    assert words == (*EMULATOR.program("bwrap"), *sandbox_arguments(job, None), *job.argv)
    assert "/emulator" not in words
    assert not [word for word in words if "qemu" in word]


def test_without_isolation_guest_paths_become_the_host_s(job: Job, guard: Guard, tmp_path: Path) -> None:
    engine = UnisolatedEngine(EMULATOR, guard)
    assert engine.probe() is None
    words = engine.command(job)
    assert words[-6:] == (
        "-L",
        f"{tmp_path}/run/prefix",
        f"{tmp_path}/image/root/usr/bin/python3.11",
        "-B",
        f"{tmp_path}/guest/runner.py",
        f"{tmp_path}/run/request.json",
    )


def test_without_isolation_the_request_is_rewritten(job: Job, tmp_path: Path) -> None:
    request = {"model": "/edge/model/model.tflite", "run_dir": "/edge/run", "npz": None, "x": "/edge/runner", "n": 1}
    (job.run_dir / "request.json").write_text(json.dumps(request))
    _rewrite_request(job)
    assert json.loads((job.run_dir / "request.json").read_text()) == {
        "model": f"{tmp_path}/model.tflite",
        "run_dir": f"{tmp_path}/run",
        "npz": None,
        "x": "/edge/runner",
        "n": 1,
    }


def test_without_isolation_the_device_is_still_seen(job: Job, tmp_path: Path) -> None:
    (job.image.root / "usr").mkdir(parents=True, exist_ok=True)
    (tmp_path / "cpuinfo").write_text("a Pi")
    _make_prefix(replace(job, mounts=(Mount(source=tmp_path / "cpuinfo", target="/proc/cpuinfo"),)))
    prefix = job.run_dir / "prefix"
    assert (prefix / "usr").readlink() == job.image.root / "usr"
    assert (prefix / "proc" / "cpuinfo").read_text() == "a Pi"
    assert not (prefix / "tmp").exists()


def run(script: str, job: Job, guard: Guard, cancel: threading.Event | None = None) -> Outcome:
    """A shell script in the place of sandbox and guest."""
    argv = ("/bin/sh", "-c", script)
    return run_limited(argv, job, cancel or threading.Event(), guard=guard, env={}, isolation="none", emulator=None)


@pytest.mark.subprocess
class TestRun:
    def test_status_and_what_was_printed(self, job: Job, guard: Guard) -> None:
        outcome = run("echo out; echo err >&2; exit 3", job, guard)
        assert (outcome.exit_code, outcome.signal, outcome.timed_out, outcome.out_of_memory) == (3, None, False, False)
        assert outcome.stderr == "out\nerr\n"
        assert (outcome.isolation, outcome.limit_mechanism, outcome.emulator) == ("none", "none", None)
        assert 0 < outcome.seconds < 20

    def test_an_attached_job_talks_to_the_tool_s_own_streams(
        self, job: Job, guard: Guard, capfd: pytest.CaptureFixture[str]
    ) -> None:
        outcome = run("echo out; echo err >&2; exit 3", replace(job, attached=True), guard)
        assert (outcome.exit_code, outcome.stderr) == (3, "")
        assert capfd.readouterr() == ("out\n", "err\n")
        assert not (job.run_dir / "stderr.txt").exists()

    def test_environment_is_not_the_host_s(self, job: Job, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "host")
        assert run('echo "<$SECRET>"', job, guard).stderr == "<>\n"

    @pytest.mark.parametrize("script", ["kill -ILL $$", "exit 132"])
    def test_a_signal_is_a_result(self, script: str, job: Job, guard: Guard) -> None:
        outcome = run(script, job, guard)
        assert (outcome.exit_code, outcome.signal) == (None, signal.SIGILL)

    def test_timeout_is_a_result(self, job: Job, guard: Guard) -> None:
        started = time.monotonic()
        outcome = run("echo before; sleep 60", replace(job, timeout_seconds=0.3), guard)
        assert (outcome.timed_out, outcome.exit_code, outcome.stderr) == (True, None, "before\n")
        assert time.monotonic() - started < 5

    def test_interruption(self, job: Job, guard: Guard) -> None:
        cancel = threading.Event()
        timer = threading.Timer(0.2, cancel.set)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            run("sleep 60", job, guard, cancel)
        timer.join()
        assert time.monotonic() - started < 5

    def test_a_sandbox_that_cannot_be_set_up(self, job: Job, guard: Guard) -> None:
        with pytest.raises(HostError) as caught:
            run("echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1", job, guard)
        assert caught.value.message == ("the sandbox could not be set up: bwrap: setting up uid map: Permission denied")

    def test_only_the_end_of_much_output_is_kept(self, job: Job, guard: Guard) -> None:
        outcome = run("head -c 300000 /dev/zero | tr '\\0' x; echo; echo last", job, guard)
        assert len(outcome.stderr) == 64 << 10
        assert outcome.stderr.endswith("x\nlast\n")

    def test_a_link_in_place_of_the_output_is_not_followed(self, job: Job, guard: Guard, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("of the host")
        outcome = run(f"echo mine; rm {job.run_dir}/stderr.txt; ln -s {secret} {job.run_dir}/stderr.txt", job, guard)
        assert outcome.stderr == "mine\n"

    def test_what_runs_is_under_guard(self, job: Job, guard: Guard, tmp_path: Path) -> None:
        run("true", job, guard)
        orders = [json.loads(line) for line in (tmp_path / "guarded").read_text().splitlines()]
        assert [(sign, kind) for sign, kind, _name in orders] == [("+", "process_group"), ("-", "process_group")]

    @pytest.mark.parametrize(("limit_bytes", "goes_on"), [(1 << 20, False), (1 << 34, True)])
    def test_watchdog(self, limit_bytes: int, goes_on: bool, job: Job) -> None:
        limit = MemoryLimit(mechanism="watchdog", limit_bytes=limit_bytes)
        with process.start((sys.executable, "-c", "x = bytearray(9 << 20); import time; time.sleep(60)")) as running:
            meter = MemoryMeter(running.pid, emulated=False, sandbox_programs=())
            watch = LimitWatch(replace(job, memory_limit_bytes=limit_bytes), limit, meter, threading.Event())
            deadline = time.monotonic() + 1.0
            while watch.go_on() and time.monotonic() < deadline:
                time.sleep(0.01)
        assert watch.over_limit is not goes_on

    def test_files_are_not_the_guest_s_own(self, job: Job, tmp_path: Path) -> None:
        """The kernel drops them first, so that they do not count on any host."""
        (tmp_path / "mapped").write_bytes(bytes(64 << 20))
        script = f"import mmap\nf = open({str(tmp_path / 'mapped')!r}, 'rb')\nx = mmap.mmap(f.fileno(), 0, prot=1)\n"
        script += "sum(x[::4096])\nprint(flush=True)\nimport time; time.sleep(60)"
        with process.start((sys.executable, "-S", "-c", script), stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            assert running.stdout.readline()
            meter = MemoryMeter(running.pid, emulated=False, sandbox_programs=())
            limit = MemoryLimit(mechanism="watchdog", limit_bytes=32 << 20)
            watch = LimitWatch(replace(job, memory_limit_bytes=32 << 20), limit, meter, threading.Event())
            assert watch.go_on()
        assert (meter.trace().guest_peak_bytes or 0) > 64 << 20

    def test_memory_is_read_a_last_time_at_the_gate(self, job: Job, guard: Guard) -> None:
        """The report's own memory is neither in the peak nor a reason to end the run."""
        script = f"x = bytearray(20 << 20)\nopen({str(job.run_dir / GATE)!r}, 'rb').read()\ny = bytearray(80 << 20)\n"
        script += "import time\ntime.sleep(0.4)"
        outcome = run_limited(
            (sys.executable, "-S", "-c", script),
            replace(job, stops_at_gate=True, memory_limit_bytes=60 << 20),
            threading.Event(),
            guard=guard,
            env={},
            isolation="none",
            emulator=None,
        )
        assert (outcome.exit_code, outcome.out_of_memory) == (0, False), outcome.stderr
        assert 20 << 20 < (outcome.memory.guest_peak_bytes or 0) < 60 << 20
        assert not (job.run_dir / GATE).exists()
