"""The emulator's command line for a counted job, in each engine that has an emulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.engines.base import Counting, Job, Mount
from sandbox.engines.counting import counted
from sandbox.engines.docker import DockerEngine
from sandbox.engines.guard import Guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.native import NativeEngine
from sandbox.engines.unisolated import UnisolatedEngine
from sandbox.image.emulator import Emulator
from tests.unit.image.image_samples import built_image

EMULATOR = Emulator(
    version="7.2", digest="d" * 64, architecture="amd64", triplet="x86_64-linux-gnu", root=Path("/cache/emulator")
)
QEMU = ("/emulator/qemu", "-cpu", "cortex-a72")
NOW_NS = 1_789_000_000_123_456_789
COUNTING = Counting(
    plugin=Path("/native/plugin-amd64.so"), clock_library=Path("/native/clock-arm64.so"), clock=True, tick_ns=(2, 3)
)
INSIDE = f"/edge/plugin.so,dir=/edge/run/counts,rate=2/3,start=1000000000000,realtime={NOW_NS}"


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with (tmp_path / "guarded").open("wb") as stream:
        yield Guard(stream)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        name="operators",
        image=built_image(tmp_path / "image"),
        argv=("/usr/bin/python3.11", "/edge/guest/runner.py"),
        env={"HOME": "/tmp"},
        run_dir=tmp_path / "run",
        mounts=(Mount(source=tmp_path / "guest", target="/edge/guest"),),
        cpu="cortex-a72",
        page_size_bytes=4096,
        hostname="rpi4b",
        memory_limit_bytes=None,
        timeout_seconds=20.0,
        counting=COUNTING,
    )


def after(words: tuple[str, ...], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words[:-1]) if word == option]


@pytest.mark.parametrize("inside", [True, False])
def test_a_job_that_is_not_counted_has_the_emulator_s_own_words(job: Job, inside: bool) -> None:
    assert counted(replace(job, counting=None), QEMU, inside=inside) == (QEMU, {})


def test_paths_in_a_sandbox(job: Job) -> None:
    words, env = counted(job, QEMU, inside=True)
    assert words == (*QEMU, "-plugin", INSIDE, "-E", "LD_PRELOAD=/edge/clock.so")
    assert env == {"EDGE_COUNTS": "/edge/run/counts", "EDGE_EMULATOR": "\n".join((*QEMU, "-plugin", INSIDE))}


def test_paths_without_a_sandbox(job: Job, tmp_path: Path) -> None:
    words, env = counted(job, QEMU, inside=False)
    assert words[len(QEMU) + 1].startswith(f"/native/plugin-amd64.so,dir={tmp_path}/run/counts,")
    assert words[-1] == "LD_PRELOAD=/native/clock-arm64.so"
    assert env["EDGE_COUNTS"] == f"{tmp_path}/run/counts"


def test_without_the_clock_nothing_is_preloaded(job: Job) -> None:
    """The latency run: its instructions are counted, and its clock is the host's."""
    words, env = counted(replace(job, counting=replace(COUNTING, clock=False)), QEMU, inside=True)
    assert words == (*QEMU, "-plugin", INSIDE)
    assert env == {}


@pytest.mark.parametrize(
    ("inside", "preloaded", "record"),
    [
        (True, "/edge/fault.so", "/edge/run/fault.txt"),
        (False, "/native/fault-arm64.so", "{run_dir}/fault.txt"),
    ],
)
def test_illegal_instructions_are_recorded(job: Job, inside: bool, preloaded: str, record: str) -> None:
    counting = replace(COUNTING, clock=False, fault_library=Path("/native/fault-arm64.so"))
    words, env = counted(replace(job, counting=counting), QEMU, inside=inside)
    assert words[-2:] == ("-E", f"LD_PRELOAD={preloaded}")
    assert env == {"EDGE_FAULT": record.format(run_dir=job.run_dir)}


def test_the_clock_is_preloaded_alone(job: Job) -> None:
    """Of two libraries the emulator with large pages loads the first only."""
    counting = replace(COUNTING, clock=True, fault_library=Path("/native/fault-arm64.so"))
    words, env = counted(replace(job, counting=counting), QEMU, inside=True)
    assert words[-2:] == ("-E", "LD_PRELOAD=/edge/clock.so")
    assert "EDGE_FAULT" not in env


def test_commas_in_paths_end_no_option(job: Job) -> None:
    """QEMU's own way to write one is to double it."""
    counting = replace(COUNTING, plugin=Path("/a,b/plugin.so"))
    words, env = counted(replace(job, counting=counting, run_dir=Path("/runs/x,y")), QEMU, inside=False)
    (options,) = after(words, "-plugin")
    assert options.startswith("/a,,b/plugin.so,dir=/runs/x,,y/counts,rate=2/3,")
    assert env["EDGE_COUNTS"] == "/runs/x,y/counts"


def test_caches_are_an_option_of_their_own(job: Job) -> None:
    words, _env = counted(replace(job, counting=replace(COUNTING, caches="64:32768:8")), QEMU, inside=True)
    assert after(words, "-plugin") == [f"{INSIDE},caches=64:32768:8"]


def test_the_emulator_that_starts_children_is_the_same(job: Job) -> None:
    """What the clock library starts other programs with: all words but the preload, which the library adds itself."""
    words, env = counted(job, QEMU, inside=True)
    assert tuple(env["EDGE_EMULATOR"].split("\n")) == words[:-2]


def test_local_engine(job: Job, guard: Guard) -> None:
    words = LocalEngine(EMULATOR, guard).command(job)
    assert after(words, "-plugin") == [INSIDE]
    assert words[-2 - len(job.argv) :] == ("-E", "LD_PRELOAD=/edge/clock.so", *job.argv)
    given = {words[at + 1]: words[at + 2] for at, word in enumerate(words) if word == "--setenv"}
    assert (given["EDGE_COUNTS"], given["HOME"]) == ("/edge/run/counts", "/tmp")
    assert "LD_PRELOAD" not in given, "bubblewrap and the emulator are no guests"


def test_docker_engine(job: Job, guard: Guard) -> None:
    words = DockerEngine(EMULATOR, guard).command(job)
    assert after(words, "-plugin") == [INSIDE]
    assert words[-2 - len(job.argv) :] == ("-E", "LD_PRELOAD=/edge/clock.so", *job.argv)
    assert "EDGE_COUNTS=/edge/run/counts" in after(words, "--env")
    assert not [word for word in after(words, "--env") if word.startswith("LD_PRELOAD")]


def test_without_isolation(job: Job, guard: Guard, tmp_path: Path) -> None:
    words = UnisolatedEngine(EMULATOR, guard).command(job)
    assert after(words, "-plugin")[0].startswith(f"/native/plugin-amd64.so,dir={tmp_path}/run/counts,")
    assert words[-4:] == (
        "-E",
        "LD_PRELOAD=/native/clock-arm64.so",
        f"{tmp_path}/image/root/usr/bin/python3.11",
        f"{tmp_path}/guest/runner.py",
    )


def test_the_host_s_own_core_counts_nothing(job: Job, guard: Guard) -> None:
    words = NativeEngine(EMULATOR, guard, "arm64").command(job)
    assert words[-len(job.argv) :] == job.argv
    assert not [word for word in words if "plugin" in word or "LD_PRELOAD" in word or "EDGE_" in word]


@pytest.mark.parametrize("engine", [LocalEngine, DockerEngine])
def test_the_job_is_not_changed(engine: type[LocalEngine] | type[DockerEngine], job: Job, guard: Guard) -> None:
    engine(EMULATOR, guard).command(job)
    assert job.env == {"HOME": "/tmp"}
