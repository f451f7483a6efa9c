"""Any program on the device: which file a command is, which runtimes it finds, and what its job is made of."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import native, shell
from sandbox.device import load_device, select_os
from sandbox.engines.base import Counting, Engine, EngineName, Job, Mount, Outcome, Problem
from sandbox.errors import HostError, UsageError
from sandbox.image.emulator import host_architecture
from sandbox.image.spec import LockedWheel
from sandbox.image.store import BuiltImage
from sandbox.profilers.counts import parse_counters
from sandbox.shell import ShellOutcome, ShellRequest, run_shell
from tests.unit.image.image_samples import SPEC, built_image, lock, locked_wheel
from tests.unit.profilers.count_files import counters, thread

SPECS = Path(__file__).parents[2] / "device_specs"
DEVICE = load_device("rpi4b", SPECS)
OS = select_os(DEVICE, None)
ENDED = Outcome(exit_code=0, limit_mechanism="none", isolation="bubblewrap", emulator="QEMU 7.2", seconds=1.0)


@pytest.fixture
def image(tmp_path: Path) -> BuiltImage:
    """An image with a merged /bin, Python, a shell, and names that lead elsewhere as Debian's alternatives do."""
    made = built_image(tmp_path / "image", ["usr/bin/python3.11", "usr/bin/dash", "usr/local/bin/tool", "usr/bin/tool"])
    (made.root / "bin").symlink_to("usr/bin")
    (made.root / "usr/bin/python3").symlink_to("python3.11")
    (made.root / "usr/bin/sh").symlink_to("/etc/alternatives/sh")
    (made.root / "etc/alternatives").mkdir(parents=True)
    (made.root / "etc/alternatives/sh").symlink_to("/bin/dash")
    (made.root / "usr/bin/of-the-host").symlink_to("/proc/version")
    (made.root / "usr/bin/round").symlink_to("round")
    (made.root / "usr/bin/folder").mkdir()
    return made


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    (folder / "tools").mkdir(parents=True)
    return folder


def command(image: BuiltImage, share: Path, *words: str) -> tuple[str, ...]:
    return shell._command(ShellRequest(device="rpi4b", command=words, share=share), image)


def refusal(image: BuiltImage, share: Path, *words: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        command(image, share, *words)
    return caught.value


def script(share: Path, first: bytes, name: str = "run.sh") -> str:
    (share / name).write_bytes(first + b"\necho\n")
    return f"./{name}"


class TestCommand:
    def test_python_where_none_is_given(self, image: BuiltImage, share: Path) -> None:
        assert command(image, share) == ("/usr/bin/python3.11",)

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("python3", "/usr/bin/python3"),
            ("tool", "/usr/local/bin/tool"),
            ("dash", "/usr/bin/dash"),
            ("sh", "/usr/bin/sh"),
            ("/usr/bin/dash", "/usr/bin/dash"),
            ("/bin/dash", "/bin/dash"),
            ("/bin/sh", "/bin/sh"),
        ],
    )
    def test_programs_of_the_image(self, image: BuiltImage, share: Path, name: str, path: str) -> None:
        """By name as a shell finds them, by path as they are; a link is left to the guest to follow."""
        assert command(image, share, name, "-c", "a b") == (path, "-c", "a b")

    @pytest.mark.parametrize("name", ["./bench", "tools/bench"])
    def test_programs_of_the_shared_folder(self, image: BuiltImage, share: Path, name: str) -> None:
        (share / name).write_bytes(b"\x7fELF")
        assert command(image, share, name, "x") == (f"/edge/share/{name.removeprefix('./')}", "x")

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "nothing",
            "bench",
            "./nothing",
            "/usr/bin/nothing",
            "folder",
            "tools/",
            "of-the-host",
            "round",
            "/proc/mounts",
        ],
    )
    def test_what_the_device_has_not(self, image: BuiltImage, share: Path, name: str) -> None:
        """A name alone is not looked for in the shared folder, and nothing in the host's own."""
        (share / "bench").touch()
        error = refusal(image, share, name)
        assert error.message == f"{name}: the device has no such program"
        assert str(share) in str(error.hint)

    @pytest.mark.parametrize(
        ("first", "interpreter"),
        [
            (b"#!/bin/sh", ("/bin/sh",)),
            (b"#! /bin/sh ", ("/bin/sh",)),
            (b"#!/bin/sh -eu -x", ("/bin/sh", "-eu -x")),
            (b"#!/usr/bin/env python3", ("/usr/bin/python3",)),
            (b"#!/usr/bin/env python3 ", ("/usr/bin/python3",)),
            (b"#!/usr/bin/python3 -B", ("/usr/bin/python3", "-B")),
        ],
    )
    def test_scripts_start_by_their_interpreter(
        self, image: BuiltImage, share: Path, first: bytes, interpreter: tuple[str, ...]
    ) -> None:
        """As Linux starts them, with one argument at most; env need not be in the image."""
        name = script(share, first)
        assert command(image, share, name, "-v") == (*interpreter, f"/edge/share/{name.removeprefix('./')}", "-v")

    @pytest.mark.parametrize(
        "first", [b"#!/usr/bin/perl", b"#!", b"#!/usr/bin/env", b"#!/usr/bin/env -S python3 -u", b"#!\xff\xfe"]
    )
    def test_scripts_whose_interpreter_the_device_has_not(self, image: BuiltImage, share: Path, first: bytes) -> None:
        name = script(share, first)
        assert "is not on the device" in refusal(image, share, name).message

    def test_other_files_are_programs_for_the_emulator_to_refuse(self, image: BuiltImage, share: Path) -> None:
        assert command(image, share, script(share, b"echo")) == ("/edge/share/run.sh",)

    def test_programs_beside_the_shared_folder_are_not_there(self, image: BuiltImage, share: Path) -> None:
        script(share.parent, b"echo")
        with pytest.raises(UsageError, match="no such program"):
            command(image, share, "../run.sh")


def two_runtimes(image: BuiltImage) -> BuiltImage:
    def wheel(name: str, version: str) -> LockedWheel:
        return locked_wheel(name, version=version).model_copy(update={"runtime": f"{name}-{version}"})

    extra = SPEC.runtimes[0].model_copy(update={"name": "onnxruntime", "version": "1.20.0"})
    spec = SPEC.model_copy(update={"runtimes": (*SPEC.runtimes, extra)})
    wheels = (wheel("tflite-runtime", "2.14.0"), wheel("onnxruntime", "1.20.0"))
    return replace(image, spec=spec, lock=lock(wheels=wheels))


@dataclass
class Builder:
    """What `run_shell` needs of an image builder."""

    image: BuiltImage
    asked: tuple[Any, ...] = ()

    def build(self, image_id: str) -> BuiltImage:
        self.asked = (image_id,)
        return self.image

    def with_runtime(self, image_id: str, name: str, version: str | None) -> BuiltImage:
        self.asked = (image_id, name, version)
        return self.image

    def emulator(self) -> None:
        return None


class TestRuntimes:
    @pytest.mark.parametrize(
        ("runtime", "asked", "path"),
        [
            (None, (OS.image,), "/opt/tflite-runtime-2.14.0:/opt/onnxruntime-1.20.0"),
            ("onnxruntime", (OS.image, "onnxruntime", None), "/opt/onnxruntime-1.20.0"),
            ("onnxruntime@", (OS.image, "onnxruntime", None), "/opt/onnxruntime-1.20.0"),
            ("onnxruntime@1.21.0", (OS.image, "onnxruntime", "1.21.0"), "/opt/onnxruntime-1.21.0"),
        ],
    )
    def test_on_the_python_path(
        self, image: BuiltImage, share: Path, runtime: str | None, asked: tuple[Any, ...], path: str
    ) -> None:
        builder: Any = Builder(two_runtimes(image))
        request = ShellRequest(device="rpi4b", command=(), share=share, runtime=runtime)
        assert shell._image(request, OS, builder) == (builder.image, path)
        assert builder.asked == asked


class FakeEngine:
    """Runs nothing, and remembers what it should have run."""

    name: EngineName = "local"
    problem: Problem | None = None
    jobs: list[Job]

    def __init__(self, *_arguments: object) -> None:
        type(self).jobs = []

    def probe(self) -> Problem | None:
        return self.problem

    def command(self, job: Job) -> tuple[str, ...]:
        return job.argv

    def run(self, job: Job, _cancel: threading.Event) -> Outcome:
        self.jobs.append(job)
        (job.run_dir / "counts" / "2.counts").write_bytes(counters(thread(3_000_000_000)))
        return ENDED


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    fake = type("Fake", (FakeEngine,), {})
    monkeypatch.setattr(shell, "LocalEngine", fake)
    monkeypatch.setattr(shell, "NativeEngine", fake)
    monkeypatch.setattr(native, "_built", lambda name: Path("/native") / name)
    return fake


def run(image: BuiltImage, share: Path, run_dir: Path, **changes: Any) -> ShellOutcome:
    builder: Any = Builder(two_runtimes(image))
    protector: Any = None
    request = ShellRequest(**{"device": "rpi4b", "command": ("dash", "-c", "true"), "share": share, **changes})
    return run_shell(request, run_dir, builder, protector)


class TestRun:
    def test_the_job(self, image: BuiltImage, share: Path, tmp_path: Path, engine: type[FakeEngine]) -> None:
        run(image, share, tmp_path / "run", memory_bytes=2**28, timeout_seconds=30.0)
        (job,) = engine.jobs
        plugin, clock = Path(f"/native/plugin-{host_architecture()}.so"), Path("/native/clock-arm64.so")
        assert job.argv == ("/usr/bin/dash", "-c", "true")
        assert (job.cwd, job.attached, job.run_dir) == ("/edge/share", True, tmp_path / "run")
        assert job.counting == Counting(plugin=plugin, clock_library=clock, clock=True, tick_ns=(2, 3))
        assert (job.cpu, job.hostname, job.page_size_bytes) == (OS.emulated_cpu, "rpi4b", OS.page_size_bytes)
        assert (job.memory_limit_bytes, job.timeout_seconds) == (2**28, 30.0)
        identity = tmp_path / "run" / "device"
        assert set(job.mounts) == {
            Mount(source=share, target="/edge/share"),
            Mount(source=identity / "cpuinfo", target="/proc/cpuinfo"),
            Mount(source=identity / "meminfo", target="/proc/meminfo"),
            Mount(source=identity / "cpu", target="/sys/devices/system/cpu"),
            Mount(source=plugin, target="/edge/plugin.so"),
            Mount(source=clock, target="/edge/clock.so"),
        }

    def test_the_environment_is_the_device_s(
        self, image: BuiltImage, share: Path, tmp_path: Path, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_TOKEN", "s3cret")
        run(image, share, tmp_path / "run")
        assert engine.jobs[0].env == {
            "PYTHONPATH": "/opt/tflite-runtime-2.14.0:/opt/onnxruntime-1.20.0",
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }

    def test_the_limit_is_what_the_device_leaves(
        self, image: BuiltImage, share: Path, tmp_path: Path, engine: type[FakeEngine]
    ) -> None:
        run(image, share, tmp_path / "run")
        assert OS.mem_total_bytes is not None
        assert OS.os_used_bytes is not None
        assert engine.jobs[0].memory_limit_bytes == OS.mem_total_bytes - OS.os_used_bytes

    def test_what_was_counted(self, image: BuiltImage, share: Path, tmp_path: Path, engine: type[FakeEngine]) -> None:
        ended = run(image, share, tmp_path / "run")
        assert engine.jobs
        assert (ended.outcome, ended.tick_ns) == (ENDED, (2, 3))
        ((pid, process),) = ended.processes
        assert (pid, process.threads[0].retired) == (2, 3_000_000_000)
        assert shell.seconds([process, process], ended.tick_ns) == pytest.approx(4.0)

    @pytest.mark.parametrize("wrong", [{"command": ("nothing",)}, {"device": "rpi99"}, {"os": "trixie-amd64"}])
    def test_nothing_runs_for_a_wrong_call(
        self, image: BuiltImage, share: Path, tmp_path: Path, engine: type[FakeEngine], wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(UsageError):
            run(image, share, tmp_path / "run", **wrong)
        assert getattr(engine, "jobs", []) == []

    def test_a_host_that_cannot(
        self, image: BuiltImage, share: Path, tmp_path: Path, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine, "problem", Problem(reason="no namespaces", hint="open them"))
        with pytest.raises(HostError, match="engine local: no namespaces") as caught:
            run(image, share, tmp_path / "run")
        assert caught.value.hint == "open them"


def test_the_fake_is_an_engine() -> None:
    fake: Engine = FakeEngine()
    assert fake.name == "local"


def test_counter_files_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    good = counters(thread(5))
    secret = tmp_path / "secret"
    secret.write_bytes(good)
    folder = tmp_path / "counts"
    folder.mkdir()
    for name, content in {
        "10.counts": good, "9.counts": good, "x.counts": good, ".counts": good, "8.counts": b"short", "7.marks": good,
    }.items():  # fmt: skip
        (folder / name).write_bytes(content)
    (folder / "6.counts").symlink_to(secret)
    assert shell._processes(folder) == ((9, parse_counters(good)), (10, parse_counters(good)))
    assert shell._processes(tmp_path / "nowhere") == ()
