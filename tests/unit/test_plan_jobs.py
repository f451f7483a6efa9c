"""From a plan to jobs: what exactly will run, and what the guest is asked. Nothing runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from sandbox.device import load_device, select_os
from sandbox.engines.base import Counting, Job, Mount
from sandbox.errors import DataFileError
from sandbox.graph import ModelGraph, read_model
from sandbox.plan import ProfileRequest, core_tick, plan_jobs
from tests import zoo
from tests.unit.guest.guest_modules import load
from tests.unit.image.image_samples import built_image

SPECS = Path(__file__).parents[2] / "device_specs"
DEVICE = load_device("rpi4b", SPECS)
OS = select_os(DEVICE, None)
VALGRIND = "usr/libexec/valgrind/massif-arm64-linux"


@pytest.fixture
def tflite(tmp_path: Path) -> ModelGraph:
    path = tmp_path / "tiny_conv_fp32.tflite"
    path.write_bytes(zoo.make(path.name))
    return read_model(path)


@pytest.mark.parametrize(
    ("clock_hz", "tick"), [(1_500_000_000, (2, 3)), (1_000_000_000, (1, 1)), (900_000_000, (10, 9)), (10**10, (1, 10))]
)
def test_a_tick_is_one_cycle(clock_hz: int, tick: tuple[int, int]) -> None:
    device = DEVICE.model_copy(update={"cpu": DEVICE.cpu.model_copy(update={"clock_hz": clock_hz})})
    assert core_tick(device) == tick


class TestJobs:
    @staticmethod
    def jobs(graph: ModelGraph, folder: Path, **changes: Any) -> tuple[Job, ...]:
        request = ProfileRequest(model=graph.path, device="rpi4b", **changes.pop("request", {}))
        arguments: dict[str, Any] = {
            "graph": graph,
            "shapes": {},
            "device": DEVICE,
            "os": OS,
            "runtime": ("tflite-runtime", "2.14.0"),
            "limit_bytes": 2**29,
            "run_dir": folder / "run",
            "guest_code": folder / "guest",
            "identity": folder / "run" / "device",
            "emulated": True,
            "native_parts": (folder / "plugin.so", folder / "clock-arm64.so", folder / "fault-arm64.so"),
            **changes,
        }
        if "image" not in arguments:
            arguments["image"] = built_image(folder / "image", [VALGRIND])
        return plan_jobs(request, **arguments)

    def test_several_threads_are_counted_on_one_as_well(self, tflite: ModelGraph, tmp_path: Path) -> None:
        jobs = {job.name: job for job in self.jobs(tflite, tmp_path, request={"threads": 4})}
        asked = {name: json.loads((job.run_dir / "request.json").read_text()) for name, job in jobs.items()}
        assert {name: each["threads"] for name, each in asked.items()} == {
            "latency": 4,
            "operators": 4,
            "heap": 4,
            "one-thread": 1,
        }
        assert (asked["one-thread"]["profile"], jobs["one-thread"].counting is None) == ("latency", False)

    @pytest.mark.parametrize("changes", [{"emulated": False}, {"request": {"threads": 4, "jobs": ("latency", "heap")}}])
    def test_what_is_not_counted_needs_no_count_of_one_thread(
        self, tflite: ModelGraph, tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        changes = {"request": {"threads": 4}, **changes}
        assert "one-thread" not in {job.name for job in self.jobs(tflite, tmp_path, **changes)}

    def test_three_jobs_with_folders_of_their_own(self, tflite: ModelGraph, tmp_path: Path) -> None:
        jobs = self.jobs(tflite, tmp_path)
        assert [job.name for job in jobs] == ["latency", "operators", "heap"]
        assert [job.run_dir for job in jobs] == [tmp_path / "run" / job.name for job in jobs]
        assert all((job.run_dir / "request.json").is_file() for job in jobs)
        assert {(job.cpu, job.page_size_bytes, job.hostname) for job in jobs} == {
            (OS.emulated_cpu, OS.page_size_bytes, "rpi4b")
        }

    def test_the_guest_is_limited_but_not_under_valgrind(self, tflite: ModelGraph, tmp_path: Path) -> None:
        assert [job.memory_limit_bytes for job in self.jobs(tflite, tmp_path)] == [2**29, 2**29, None]

    def test_heap_runs_under_massif_without_its_launcher(self, tflite: ModelGraph, tmp_path: Path) -> None:
        latency, _operators, heap = self.jobs(tflite, tmp_path)
        runner = ("/usr/bin/python3.11", "-B", "/edge/guest/runner.py", "/edge/run/request.json")
        assert latency.argv == runner
        assert heap.argv[0] == f"/{VALGRIND}"
        assert heap.argv[-5:] == ("--massif-out-file=/edge/run/massif.out", *runner)
        assert heap.env["VALGRIND_LIB"] == "/usr/libexec/valgrind"
        assert "VALGRIND_LIB" not in latency.env

    def test_image_without_valgrind(self, tflite: ModelGraph, tmp_path: Path) -> None:
        with pytest.raises(DataFileError, match="image sample-arm64 has no valgrind"):
            self.jobs(tflite, tmp_path, image=built_image(tmp_path / "image"))

    def test_nothing_of_the_host_s_environment(
        self, tflite: ModelGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_TOKEN", "s3cret")
        latency, *_others = self.jobs(tflite, tmp_path)
        assert latency.env == {
            "PYTHONPATH": "/opt/tflite-runtime-2.14.0",
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "PATH": "/usr/bin:/bin",
        }

    def test_without_an_emulator_the_guest_preloads_what_records_illegal_instructions(
        self, tflite: ModelGraph, tmp_path: Path
    ) -> None:
        latency, *_others = self.jobs(tflite, tmp_path, emulated=False)
        assert latency.env["LD_PRELOAD"] == "/edge/fault.so"
        assert latency.env["EDGE_FAULT"] == "/edge/run/fault.txt"

    def test_mounts(self, tflite: ModelGraph, tmp_path: Path) -> None:
        identity = tmp_path / "run" / "device"
        expected = (
            Mount(source=tmp_path / "guest", target="/edge/guest"),
            Mount(source=tflite.path, target="/edge/model/tiny_conv_fp32.tflite"),
            Mount(source=identity / "meminfo", target="/proc/meminfo"),
        )
        emulated = (
            Mount(source=identity / "cpuinfo", target="/proc/cpuinfo"),
            Mount(source=identity / "cpu", target="/sys/devices/system/cpu"),
        )
        native_parts = (
            Mount(source=tmp_path / "plugin.so", target="/edge/plugin.so"),
            Mount(source=tmp_path / "clock-arm64.so", target="/edge/clock.so"),
            Mount(source=tmp_path / "fault-arm64.so", target="/edge/fault.so"),
        )
        assert self.jobs(tflite, tmp_path)[0].mounts == expected + emulated + native_parts
        again = built_image(tmp_path / "again", [VALGRIND])
        assert self.jobs(tflite, tmp_path, image=again, emulated=False)[0].mounts == expected + native_parts

    def test_what_is_counted_and_with_which_clock(self, tflite: ModelGraph, tmp_path: Path) -> None:
        """The latency run keeps the host's clock; in the operator run profilers lose nothing to whole microseconds."""
        latency, operators, heap = self.jobs(tflite, tmp_path)
        parts = {
            "plugin": tmp_path / "plugin.so",
            "clock_library": tmp_path / "clock-arm64.so",
            "fault_library": tmp_path / "fault-arm64.so",
        }
        assert latency.counting == Counting(**parts, clock=False, tick_ns=(2, 3), caches=None)
        assert operators.counting == Counting(**parts, clock=True, tick_ns=(1000, 1), caches=None)
        assert heap.counting is None
        assert [(job.run_dir / "counts").is_dir() for job in (latency, operators)] == [True, True]
        assert {(job.cwd, job.attached) for job in (latency, operators, heap)} == {("/edge/run", False)}

    def test_nothing_is_counted_without_an_emulator(self, tflite: ModelGraph, tmp_path: Path) -> None:
        jobs = self.jobs(tflite, tmp_path, emulated=False, request={"caches": True})
        assert [job.counting for job in jobs] == [None, None, None]
        assert [told["counted"] for told in self.requests(jobs)] == [False, False, False]

    @pytest.mark.parametrize(
        ("known", "caches"),
        [
            ({}, "64:32768:8:1048576:8"),
            ({"l3_bytes": 2**21}, "64:32768:8:1048576:8:2097152:8"),
            ({"l2_bytes": None}, "64:32768:8"),
        ],
    )
    def test_the_device_s_caches_in_the_operator_run(
        self, tflite: ModelGraph, tmp_path: Path, known: dict[str, int | None], caches: str
    ) -> None:
        device = DEVICE.model_copy(update={"cpu": DEVICE.cpu.model_copy(update=known)})
        latency, operators, _heap = self.jobs(tflite, tmp_path, device=device, request={"caches": True})
        assert latency.counting is not None
        assert operators.counting is not None
        assert (latency.counting.caches, operators.counting.caches) == (None, caches)

    def test_caches_that_the_spec_has_not(self, tflite: ModelGraph, tmp_path: Path) -> None:
        device = DEVICE.model_copy(update={"cpu": DEVICE.cpu.model_copy(update={"l1d_bytes": None})})
        with pytest.raises(DataFileError) as caught:
            self.jobs(tflite, tmp_path, device=device, request={"caches": True})
        assert caught.value.message == "rpi4b: cpu.l1d_bytes is not known"
        image = built_image(tmp_path / "again", [VALGRIND])
        assert len(self.jobs(tflite, tmp_path, device=device, image=image)) == 3, "without --caches it is not asked for"

    @pytest.mark.parametrize(("delegates", "told"), [(True, "default"), (False, "none")])
    def test_delegates(self, tflite: ModelGraph, tmp_path: Path, delegates: bool, told: str) -> None:
        jobs = self.jobs(tflite, tmp_path, request={"delegates": delegates})
        assert {request["delegates"] for request in self.requests(jobs)} == {told}

    @staticmethod
    def requests(jobs: tuple[Job, ...]) -> list[dict[str, Any]]:
        return [json.loads((job.run_dir / "request.json").read_text()) for job in jobs]

    def test_external_weights_travel_beside_the_model(self, tmp_path: Path) -> None:
        path = tmp_path / "big.onnx"
        model = onnx.load_model_from_string(zoo.tiny_onnx())
        onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
        mounts = self.jobs(read_model(path), tmp_path, runtime=("onnxruntime", "1.31.1"))[0].mounts
        assert mounts[1:3] == (
            Mount(source=path, target="/edge/model/big.onnx"),
            Mount(source=tmp_path / "weights.bin", target="/edge/model/weights.bin"),
        )

    def test_own_input_is_mounted(self, tflite: ModelGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        job = self.jobs(tflite, tmp_path, request={"inputs": "mine.npz"})[0]
        assert Mount(source=tmp_path / "mine.npz", target="/edge/input.npz") in job.mounts
        request = json.loads((job.run_dir / "request.json").read_text())
        assert (request["inputs"], request["npz"]) == ("npz", "/edge/input.npz")

    def test_request_that_the_guest_reads(self, tflite: ModelGraph, tmp_path: Path) -> None:
        jobs = self.jobs(
            tflite, tmp_path, request={"threads": 4, "seed": 7, "inputs": "zeros"}, shapes={"input": (2, 8, 8, 3)}
        )
        requests = self.requests(jobs)
        assert requests[0] == {
            "schema": 1,
            "model": "/edge/model/tiny_conv_fp32.tflite",
            "format": "tflite",
            "runtime": "tflite-runtime",
            "threads": 4,
            "warmup": 1,
            "repeat": 5,
            "seed": 7,
            "inputs": "zeros",
            "npz": None,
            "shapes": {"input": [2, 8, 8, 3]},
            "profile": "latency",
            "delegates": "default",
            "tensors": [],
            "counted": True,
            "clock_library": "/edge/clock.so",
            "run_dir": "/edge/run",
        }
        assert [(each["profile"], each["warmup"], each["repeat"], each["counted"]) for each in requests[1:]] == [
            ("operators", 1, 1, True),
            ("heap", 0, 1, False),
            ("latency", 1, 1, True),
        ]

    def test_every_request_is_one_that_the_guest_understands(self, tflite: ModelGraph, tmp_path: Path) -> None:
        for job in self.jobs(tflite, tmp_path):
            found = load("request").read_request(job.run_dir / "request.json")
            assert (found.profile, found.clock_library) == (job.name, "/edge/clock.so")

    def test_host_paths_are_not_told_to_the_guest(self, tflite: ModelGraph, tmp_path: Path) -> None:
        for job in self.jobs(tflite, tmp_path):
            told = json.dumps([job.argv, dict(job.env), (job.run_dir / "request.json").read_text()])
            assert str(tmp_path) not in told
