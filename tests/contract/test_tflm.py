"""TFLM on this host for real: the smallest arena, operators that it has not, refusals, crashes, its table."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import rundir
from sandbox.engines.base import Cancelled, Engine
from sandbox.engines.guard import Guard, guard
from sandbox.graph import read_dataflow, read_model
from sandbox.image.emulator import host_architecture
from sandbox.metrics import Unavailable
from sandbox.microcontroller.arena import HostArena, static_arena
from sandbox.microcontroller.host import IMAGE, arena_job, host_engine, read_arena, run_arena
from sandbox.microcontroller.operators import load_registered
from sandbox.plan import ProfileRequest
from sandbox.resources import data_directory
from tests import host, zoo
from tests.record_tflm_operators import has

from .leftovers import eventually, left_behind

pytestmark = [
    pytest.mark.engine("native"),
    pytest.mark.skipif(host_architecture() != "amd64", reason="TFLM's wheel is for x86-64"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "mobilenet_v1_0.25_128_int8.tflite"


@pytest.fixture
def engine() -> Iterator[Engine]:
    with guard() as protector:
        made = host_engine(host.builder(), protector, isolated=True)
        assert made is not None
        yield made


def run(engine: Engine, model: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    image = host.builder().build(IMAGE)
    request = ProfileRequest(model=model, device="", **changes)
    job = arena_job(request, read_model(model), image, host.builder().guest_code(image), folder)
    run_arena(engine, job)
    return rundir.read_runner_report(job.run_dir) or {}


def made(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(zoo.make(name))
    return path


@pytest.mark.parametrize("name", ["tiny_conv_int8.tflite", "tiny_conv_fp32.tflite"])
def test_the_smallest_arena_is_what_the_file_foretells(engine: Engine, tmp_path: Path, name: str) -> None:
    model = made(name, tmp_path)
    report = run(engine, model, tmp_path)
    found = read_arena(report, "1")
    planned = static_arena(read_dataflow(read_model(model), {}))
    assert isinstance(found, HostArena), report["error"]
    assert isinstance(planned, HostArena)
    assert found.head == planned.head
    assert abs(found.tail - planned.tail) <= 32
    assert 0 <= found.minimum - planned.minimum + 48 <= 512, "temporary allocations decide in models this small"
    assert found.minimum % 16 == 0
    assert found.minimum >= found.recorded


def test_the_example(engine: Engine, tmp_path: Path) -> None:
    report = run(engine, EXAMPLE, tmp_path)
    found = read_arena(report, "1")
    assert isinstance(found, HostArena)
    assert (found.minimum, found.head, found.tail) == (169_040, 131_072, 37_968)
    assert report["outputs"][0]["shape"] == [1, 1001]


def test_one_byte_less_than_the_smallest_fails(engine: Engine, tmp_path: Path) -> None:
    """The job's own search says so: what is below its answer was tried in a child, and failed."""
    model = made("tiny_conv_int8.tflite", tmp_path)
    first = run(engine, model, tmp_path)["runtime"]["arena"]
    again = run(engine, model, tmp_path)["runtime"]["arena"]
    assert first == again


def test_the_same_seed_gives_the_same_output(engine: Engine, tmp_path: Path) -> None:
    model = made("tiny_conv_int8.tflite", tmp_path)
    outputs = [run(engine, model, tmp_path, seed=seed)["outputs"][0]["sha256"] for seed in (1, 1, 2)]
    assert outputs[0] == outputs[1] != outputs[2]


def test_an_operator_that_tflm_has_not_is_named(engine: Engine, tmp_path: Path) -> None:
    report = run(engine, made("custom_op_FlexRFFT.tflite", tmp_path), tmp_path)
    assert report["error"]["message"] == "Failed to get registration from op code CUSTOM"
    assert isinstance(read_arena(report, "1"), Unavailable)


def test_the_shipped_table_is_what_the_wheel_says(tmp_path: Path, engine: Engine) -> None:
    table = load_registered(IMAGE, data_directory("images"))
    for kind in ("CONV_2D", "TILE", "SVDF", "CONV_3D", "SignalRfft"):
        expected = kind in (*table.builtin, *table.custom)
        assert has(kind, tmp_path, host.builder(), engine) == expected, kind


def test_runs_that_share_an_event_do_not_cancel_one_another(engine: Engine, tmp_path: Path) -> None:
    model, image, cancel = made("tiny_conv_int8.tflite", tmp_path), host.builder().build(IMAGE), threading.Event()
    request = ProfileRequest(model=model, device="")
    for name in ("one", "two"):
        job = arena_job(request, read_model(model), image, host.builder().guest_code(image), tmp_path / name)
        assert run_arena(engine, job, cancel).exit_code == 0
    assert not cancel.is_set()


def test_an_interrupted_search_leaves_nothing(tmp_path: Path) -> None:
    image = host.builder().build(IMAGE)
    request = ProfileRequest(model=EXAMPLE, device="")
    protector: Guard
    with guard() as protector:
        engine = host_engine(host.builder(), protector, isolated=True)
        assert engine is not None
        job = arena_job(request, read_model(EXAMPLE), image, host.builder().guest_code(image), tmp_path)
        cancel = threading.Event()
        timer = threading.Timer(0.1, cancel.set)
        timer.start()
        with pytest.raises(Cancelled):
            engine.run(job, cancel)
        timer.join()
    assert eventually(lambda: left_behind(str(job.run_dir), set()), 10) == []
