"""``python -m tests.compare_memory``: predict and emulate the peaks of many models, for docs/memory_predictions.md.

Each model runs once on a Raspberry Pi 4 with the local engine; the prediction is that of `edge-sandbox check`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from sandbox.check import CheckRequest, check
from sandbox.cli.common import image_builder
from sandbox.engines.guard import guard
from sandbox.image.build import ImageBuilder
from sandbox.metrics import Metric
from sandbox.pipeline import prepare
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent

from . import zoo
from .record_runs import PROJECT

TABLE = PROJECT / "docs" / "memory_predictions.md"
_DEVICE = "rpi4b"
_MANY = ("0.25_96", "0.25_160", "0.5_128", "0.5_160", "0.75_128", "1.0_96")
_SOME = ("0.25_128", "0.5_128", "1.0_96")
_FEW = ("0.25_128", "1.0_96")
_ONNX = ("0.25_128", "0.25_224", "0.5_128", "0.5_160", "0.75_128", "1.0_96", "1.0_128")
_HEAD = """# Predicted and emulated peaks

The peak that `edge-sandbox check` predicts from the file alone, and the one of an emulated run on a Raspberry Pi 4, in
MB; written by `python -m tests.compare_memory`. The models are MobileNets v1 with random weights, from `tests/zoo`.

"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model with one runtime on one image."""

    model: str
    runtime: str
    image: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found, in bytes."""

    case: Case
    version: str
    predicted: float
    emulated: float

    @property
    def error(self) -> float:
        """Of the prediction, relative to the emulated peak."""
        return self.predicted / self.emulated - 1


def cases() -> tuple[Case, ...]:
    """All that the table has."""

    def tflite(runtime: str, image: str, shapes: tuple[str, ...]) -> list[Case]:
        names = [f"mobilenet_v1_{shape}_{dtype}.tflite" for dtype in ("int8", "fp32") for shape in shapes]
        return [Case(model=name, runtime=runtime, image=image) for name in names]

    def onnx(image: str, shapes: tuple[str, ...]) -> list[Case]:
        return [Case(model=f"mobilenet_v1_{s}_fp32.onnx", runtime="onnxruntime", image=image) for s in shapes]

    return (
        *tflite("tflite-runtime", "bookworm-arm64", _MANY),
        *tflite("ai-edge-litert", "bookworm-arm64", _SOME),
        *tflite("tflite-runtime", "bookworm-armhf", _FEW),
        *tflite("tflite-runtime", "bullseye-arm64", _FEW),
        *onnx("bookworm-arm64", _ONNX),
        *onnx("bullseye-arm64", _SOME),
        *onnx("trixie-arm64", _FEW),
    )


def measure(case: Case, builder: ImageBuilder) -> Row:
    """Predict, run once, compare."""
    with guard() as protector, tempfile.TemporaryDirectory(prefix="edge-sandbox-compare-") as scratch:
        model, run_dir = Path(scratch) / case.model, Path(scratch) / "run"
        model.write_bytes(zoo.make(case.model))
        run_dir.mkdir()
        predicted = check(CheckRequest(model=model, device=_DEVICE, os=case.image, runtime=case.runtime))
        request = ProfileRequest(
            model=model, device=_DEVICE, os=case.image, runtime=case.runtime, engine="local", memory_bytes=1 << 30
        )
        plan = prepare(request, run_dir, builder, protector)
        outcome = plan.engine.run(plan.jobs[0], threading.Event())
    peak = predicted.memory.peak
    if outcome.exit_code != 0 or outcome.memory.guest_peak_bytes is None or not isinstance(peak, Metric):
        sys.exit(f"{case}: {peak}, {outcome.stderr}")
    return Row(
        case=case,
        version=predicted.runtime.version,
        predicted=peak.value,
        emulated=outcome.memory.guest_peak_bytes,
    )


def render(rows: list[Row]) -> str:
    """The page."""
    lines = ["| model | runtime | image | predicted | emulated | error |", "| --- | --- | --- | ---: | ---: | ---: |"]
    for row in rows:
        cells = (row.case.model, f"{row.case.runtime} {row.version}", row.case.image)
        numbers = f"{row.predicted / 1e6:.1f} | {row.emulated / 1e6:.1f} | {row.error:+.1%}"
        lines.append(f"| {' | '.join(cells)} | {numbers} |")
    errors = [abs(row.error) for row in rows]
    worst = max(errors)
    summary = f"{len(rows)} models: mean error {statistics.mean(errors):.1%}, largest {worst:.1%}.\n\n"
    return _HEAD + summary + "\n".join(lines) + "\n"


def main() -> None:
    builder = image_builder(None, Silent())
    rows = []
    for case in cases():
        rows.append(measure(case, builder))
        sys.stdout.write(f"{case.model} {case.runtime} {case.image}: {rows[-1].error:+.1%}\n")
        sys.stdout.flush()
    TABLE.write_text(render(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
