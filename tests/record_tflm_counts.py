"""``python -m tests.record_tflm_counts``: count a TFLM's instructions of MLPerf Tiny's models on an emulated core.

Writes one build into calibration/tflm_counts.json, in place of one with the same id. The library is the caller's: the
project holds no TFLM. Needs what level 3 needs (docs/howto/microcontroller.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
from pathlib import Path

from sandbox.cli.common import image_builder
from sandbox.cli.stderr_progress import StderrProgress
from sandbox.engines.guard import guard
from sandbox.image.build import ImageBuilder
from sandbox.microcontroller.board import load_board
from sandbox.microcontroller.instruction_counts import FILE, Build, Builds, ModelCounts, read_builds
from sandbox.microcontroller.profile import profile
from sandbox.microcontroller.runner_record import RunnerRecord, read_runner
from sandbox.plan import ProfileRequest

PROJECT = Path(__file__).parents[1]
MODELS = {
    "mlperf_tiny_ad_fc_autoencoder": "ad01_int8.tflite",
    "mlperf_tiny_ic_resnet8": "pretrainedResnet_quant.tflite",
    "mlperf_tiny_kws_dscnn": "kws_ref_model.tflite",
    "mlperf_tiny_vww_mobilenetv1_0.25_96": "vww_96_int8.tflite",
}
"""Name in the measured rows → file of mlcommons/tiny, training/*/trained_models."""


def run(model: Path, device: str, tflm: Path, builder: ImageBuilder) -> RunnerRecord:
    """One model at level 3."""
    request = ProfileRequest(model=model, device=device, engine="qemu-system", tflm=tflm)
    with tempfile.TemporaryDirectory() as folder, guard() as protector:
        profile(request, Path(folder), builder, protector)
        found = read_runner(Path(folder))
    assert found is not None
    if found.instructions is None:
        raise SystemExit(f"{model}: {found.failure}")
    return found


def counted(model: Path, record: RunnerRecord) -> ModelCounts:
    """What of a run goes into the file."""
    return ModelCounts(
        sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        instructions=record.instructions,
        operators=tuple((each.type, each.instructions) for each in record.operators),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("id")
    parser.add_argument("--device", required=True, help="a board with the core")
    parser.add_argument("--tflm", required=True, type=Path, help="as for edge-sandbox profile")
    parser.add_argument("--models", required=True, type=Path, help="folder with MLPerf Tiny's models")
    parser.add_argument("--sources", required=True, help="which TFLM and CMSIS-NN, and where from")
    parser.add_argument("--compiler", required=True, help="version and options")
    parser.add_argument("--note", action="append", default=[], help="what is not as on the measured board")
    given = parser.parse_args()
    builder = image_builder(None, StderrProgress())
    runs = {name: run(given.models / file, given.device, given.tflm, builder) for name, file in MODELS.items()}
    first = next(iter(runs.values()))
    build = Build(
        id=given.id,
        core=load_board(given.device, PROJECT / "device_specs").cpu.core,
        kernels=first.kernels,
        architecture=first.architecture,
        sources=given.sources,
        compiler=given.compiler,
        library=first.library,
        emulator=f"{first.emulator}, machine {first.machine}",
        notes=tuple(given.note),
        models={name: counted(given.models / MODELS[name], record) for name, record in runs.items()},
    )
    write(PROJECT / "calibration", build)


def write(directory: Path, build: Build) -> None:
    """Put the build among those of the file, by id."""
    others = [each for each in read_builds(directory).builds if each.id != build.id]
    builds = Builds(builds=tuple(sorted([*others, build], key=lambda each: each.id)))
    lines = json.dumps(builds.model_dump(mode="json"), indent=1)
    lines = re.sub(r"\[\s+(\"\w+\"),\s+(\d+)\s+\]", r"[\1, \2]", lines)  # an operator a line
    (directory / FILE).write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
