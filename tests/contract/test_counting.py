"""Counts and the guest's clock, shown with programs whose instructions were counted by hand and scripts that ask for
the time. What needs no container engine is shown with the local one only."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sandbox import native, process
from sandbox.engines.base import (
    COUNTS,
    GUEST_CLOCK_LIBRARY,
    GUEST_FAULT_LIBRARY,
    GUEST_PLUGIN,
    Counting,
    EngineName,
    Job,
    Mount,
    Outcome,
)
from sandbox.engines.guard import Guard
from sandbox.image.emulator import host_architecture, system_mode
from sandbox.image.store import BuiltImage
from sandbox.metrics import Metric
from sandbox.profilers.allocator import allocator_phases
from sandbox.profilers.counts import Counters, parse_counters, parse_marks
from sandbox.profilers.reached import reached_code
from tests import host
from tests.programs import build_program
from tests.programs.hand_counts import HAND_COUNTS

pytestmark = pytest.mark.timeout(180)

PROGRAMS = Path(__file__).parents[1] / "programs"
PROGRAM = "/edge/program"
EMULATING: tuple[EngineName, ...] = ("local", "docker")


@dataclass(frozen=True)
class Counted:
    """How a program ended, what it printed, and what was counted, by process number in the guest."""

    outcome: Outcome
    processes: dict[int, Counters]

    @property
    def only(self) -> Counters:
        (counters,) = self.processes.values()
        return counters


@dataclass(frozen=True)
class Bench:
    """An engine, and a folder for its jobs."""

    name: EngineName
    guard: Guard
    folder: Path

    def job(self, image: BuiltImage, argv: tuple[str, ...], *mounts: Mount, clock: bool, cpu: str) -> Job:
        run_dir = self.folder / f"job-{len(list(self.folder.glob('job-*')))}"
        (run_dir / COUNTS).mkdir(parents=True)
        plugin, library = native.plugin(host_architecture()), native.clock_library(image.spec.architecture)
        return Job(
            name=f"counting-{run_dir.name}",
            image=image,
            argv=argv,
            env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHONHASHSEED": "0"},
            run_dir=run_dir,
            mounts=(
                Mount(source=plugin, target=GUEST_PLUGIN),
                Mount(source=library, target=GUEST_CLOCK_LIBRARY),
                *mounts,
            ),
            cpu=cpu,
            page_size_bytes=4096,
            hostname="counted",
            memory_limit_bytes=None,
            timeout_seconds=120,
            counting=Counting(plugin=plugin, clock_library=library, clock=clock, tick_ns=(2, 3)),
        )

    def run(self, job: Job) -> Counted:
        outcome = host.make_engine(self.name, self.guard).run(job, threading.Event())
        files = (job.run_dir / COUNTS).glob("*.counts")
        return Counted(outcome, {int(file.stem): parse_counters(file.read_bytes()) for file in files})

    def script(self, name: str, image_id: str = host.DEVICE_IMAGE, cpu: str = "cortex-a72") -> Counted:
        """Run a script with the image's Python and the device's clock."""
        image = host.builder().build(image_id)
        mount = Mount(source=PROGRAMS / name, target=PROGRAM)
        return self.run(self.job(image, (f"/usr/bin/python{image.spec.python}", PROGRAM), mount, clock=True, cpu=cpu))

    def program(self, path: Path, image_id: str = host.DEVICE_IMAGE, cpu: str = "max") -> Counted:
        """Run a program of the guest's architecture, counting only."""
        mount = Mount(source=path, target=PROGRAM)
        return self.run(self.job(host.builder().build(image_id), (PROGRAM,), mount, clock=False, cpu=cpu))


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in EMULATING])
def bench(request: pytest.FixtureRequest, protector: Guard, tmp_path: Path) -> Bench:
    return Bench(request.param, protector, tmp_path)


@pytest.fixture
def local(protector: Guard, tmp_path: Path) -> Bench:
    return Bench("local", protector, tmp_path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The programs that were counted by hand."""
    folder = tmp_path_factory.mktemp("programs")
    for name in HAND_COUNTS:
        build_program(name, folder / name)
    return {name: folder / name for name in HAND_COUNTS}


@pytest.mark.engine("local")
@pytest.mark.parametrize(
    ("program", "image"),
    [("count_a64", "bookworm-arm64"), ("count_a32", "bookworm-armhf"), ("count_t32", "bookworm-armhf")],
)
def test_hand_counts_are_exact(local: Bench, built: dict[str, Path], program: str, image: str) -> None:
    counted = local.program(built[program], image)
    assert counted.outcome.exit_code == 0, counted.outcome.stderr
    (thread,) = counted.only.threads
    assert thread.classes == HAND_COUNTS[program]
    assert thread.retired == sum(HAND_COUNTS[program].values())
    assert counted.only.complete
    assert not counted.only.attached, "there is no library in a static program"
    if program == "count_a64":  # cryptographic instructions are listed too: `aese`, and no crc32 counts as one
        code = reached_code(local.folder / "job-0", local.folder)
        assert {each.feature for each in code or ()} == {"aes"}


@pytest.mark.engine("local")
def test_hand_counts_of_a_microcontroller_are_exact(local: Bench, built: dict[str, Path]) -> None:
    """The same plugin in an emulator of whole boards."""
    emulator = host.builder().system_emulator()
    plugin = native.plugin(host_architecture())
    argv = system_mode(emulator, "mps2-an385")
    done = process.run((*argv, "-plugin", f"{plugin},dir={local.folder}", "-kernel", str(built["count_m"])), timeout=60)
    assert done.returncode == 0, done.stderr
    (file,) = local.folder.glob("*.counts")
    (thread,) = parse_counters(file.read_bytes()).threads
    assert thread.classes == HAND_COUNTS["count_m"]


def test_clocks_agree(bench: Bench) -> None:
    counted = bench.script("clock_agreement.py")
    assert counted.outcome.exit_code == 0, counted.outcome.stderr
    assert counted.only.attached


def test_a_script_measures_the_same_each_time(bench: Bench) -> None:
    """Whatever else the host does: the second run shares it with a busy loop on every core."""
    first = json.loads(bench.script("clock_agreement.py").outcome.stderr)
    loops = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(2)]
    try:
        second = json.loads(bench.script("clock_agreement.py").outcome.stderr)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert second["perf_counter"] == pytest.approx(first["perf_counter"], rel=1e-3)


def test_waits_end_and_take_what_was_asked(bench: Bench) -> None:
    counted = bench.script("clock_waits.py")
    assert counted.outcome.exit_code == 0, counted.outcome.stderr


def test_children_keep_the_clock(bench: Bench) -> None:
    counted = bench.script("clock_children.py")
    assert counted.outcome.exit_code == 0, counted.outcome.stderr
    assert len(counted.processes) > 3
    assert all(counters.attached for counters in counted.processes.values())


def test_a_watchdog_sees_device_time(bench: Bench) -> None:
    counted = bench.script("clock_watchdog.py")
    assert counted.outcome.exit_code == 0, counted.outcome.stderr


@pytest.mark.engine("local")
@pytest.mark.parametrize(
    ("image", "cpu"),
    [("bookworm-armhf", "cortex-a15"), ("bullseye-arm64", "cortex-a53"), ("trixie-arm64", "cortex-a76"),
     ("bookworm-amd64", "max")],
)  # fmt: skip
@pytest.mark.parametrize("script", ["clock_agreement.py", "clock_waits.py"])
def test_other_guests_keep_the_clock(local: Bench, image: str, cpu: str, script: str) -> None:
    counted = local.script(script, image, cpu)
    assert counted.outcome.exit_code == 0, counted.outcome.stderr


def test_the_clock_is_kept_on_large_pages(bench: Bench) -> None:
    """As a Raspberry Pi 5 has them, and with the job as a profile makes it: its fault library is at hand, too."""
    image = host.builder().build(host.DEVICE_IMAGE)
    library = native.fault_library(image.spec.architecture)
    mount = Mount(source=library, target=GUEST_FAULT_LIBRARY)
    job = bench.job(image, ("/usr/bin/python3", "-c", "pass"), mount, clock=True, cpu="cortex-a76")
    assert job.counting is not None
    counting = replace(job.counting, fault_library=library)
    counted = bench.run(replace(job, page_size_bytes=16384, counting=counting))
    assert (counted.outcome.exit_code, counted.outcome.stderr) == (0, "")
    assert all(counters.attached for counters in counted.processes.values())


@pytest.mark.engine("local")
def test_a_guest_that_changes_ld_preload_is_told_apart(local: Bench) -> None:
    image = host.builder().build(host.DEVICE_IMAGE)
    code = "import os; os.execve('/usr/bin/python3', ['python3', '-c', 'pass'], {'LD_PRELOAD': ''})"
    job = local.job(image, ("/usr/bin/python3", "-c", code), clock=True, cpu="cortex-a72")
    counted = local.run(job)
    assert counted.outcome.exit_code == 0, counted.outcome.stderr
    assert not all(counters.attached for counters in counted.processes.values())


@pytest.mark.engine("local")
def test_without_a_counter_file_the_program_runs_on_the_hosts_clock(local: Bench) -> None:
    image = host.builder().build(host.DEVICE_IMAGE)
    job = local.job(image, ("/usr/bin/python3", "-c", "import time; time.sleep(0.1)"), clock=True, cpu="cortex-a72")
    (job.run_dir / COUNTS).rmdir()
    counted = local.run(job)
    assert counted.outcome.exit_code == 0
    assert "counting plugin: nothing is counted: cannot write counter files" in counted.outcome.stderr
    assert "times are the host's" in counted.outcome.stderr
    assert counted.processes == {}


@pytest.mark.engine("local")
def test_threads_and_forks_are_counted_apart(local: Bench) -> None:
    image = host.builder().build(host.DEVICE_IMAGE)
    code = """
import os, threading
work = lambda: sum(range(200_000))
thread = threading.Thread(target=work)
thread.start(); thread.join()
child = os.fork()
if child == 0:
    work(); work(); os._exit(0)
os.waitpid(child, 0)
"""
    counted = local.run(local.job(image, ("/usr/bin/python3", "-c", code), clock=True, cpu="cortex-a72"))
    assert counted.outcome.exit_code == 0, counted.outcome.stderr
    parent, child = (counters for _pid, counters in sorted(counted.processes.items()))
    assert len(parent.threads) == 2
    once = parent.threads[1].retired
    assert sum(parent.threads[1].classes.values()) == once - parent.threads[1].waited
    assert child.threads[0].retired > parent.threads[0].retired + once, "its work is not its parent's"


@pytest.mark.engine("local")
def test_counts_are_the_processors_own(local: Bench, tmp_path: Path) -> None:
    """An x86-64 guest on an x86-64 host, against the processor's own counter where the host lets us read it."""
    if host_architecture() != "amd64":
        pytest.skip("this host is no x86-64 one")
    source, program = tmp_path / "loop.c", tmp_path / "loop"
    source.write_text("int main(void) { volatile int x = 0; for (int i = 0; i < 3000000; i++) x += i; return 0; }")
    compiled = process.run(
        (sys.executable, "-m", "ziglang", "cc", "-O1", "-static", "-target", "x86_64-linux-musl", str(source), "-o",
         str(program)), timeout=120,
    )  # fmt: skip
    assert compiled.returncode == 0, compiled.stderr
    try:
        seen = process.run(("perf", "stat", "-x,", "-e", "instructions:u", str(program)), timeout=60)
    except Exception as error:  # noqa: BLE001  # no perf here
        pytest.skip(str(error))
    number = seen.stderr.split(",")[0].strip()
    if not number.isdigit():
        pytest.skip("this host counts no instructions")
    (thread,) = local.program(program, "bookworm-amd64").only.threads
    assert thread.retired == pytest.approx(int(number), rel=1e-3)


@pytest.mark.engine("local")
@pytest.mark.parametrize("image_id", ["bookworm-arm64", "bookworm-armhf", "bullseye-arm64"])
def test_the_allocator_s_calls_and_holes(local: Bench, image_id: str) -> None:
    """As many as the program made: by all threads, in either word size, with mallinfo2 and with mallinfo."""
    image = host.builder().build(image_id)
    guest = Mount(source=host.builder().guest_code(image), target="/edge/guest")
    program = Mount(source=PROGRAMS / "allocator_calls.py", target=PROGRAM)
    job = local.job(image, (f"/usr/bin/python{image.spec.python}", PROGRAM), guest, program, clock=False, cpu="max")
    counted = local.run(job)
    assert counted.outcome.exit_code == 0, counted.outcome.stderr
    (marks,) = (parse_marks(file.read_bytes()) for file in (job.run_dir / COUNTS).glob("*.marks"))
    report = json.loads(counted.outcome.stderr)
    _start, load, allocate, inference = allocator_phases(report, marks.calls, mode="emulated")
    few = 60  # what Python itself asks for meanwhile
    for quantity, expected in (
        (load.calls, 1000),
        (allocate.frees, 500),
        (inference.calls, 1000),
        (inference.frees, 1000),
    ):
        assert isinstance(quantity, Metric)
        assert expected <= quantity.value < expected + few
    for row, holes in ((load, 0), (allocate, 500 * 50_000)):
        assert isinstance(row.fragmentation, Metric)
        assert row.fragmentation.value == pytest.approx(holes, abs=200_000)
    assert counted.only.asked_bytes == 32 << 20
