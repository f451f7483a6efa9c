"""``python -m tests.compare_memory [FOLDER]``: predict and emulate many models, for docs/memory_predictions.md.

The models are those of the zoo and, in ``FOLDER``, those of MLPerf Tiny. Each runs once on a Raspberry Pi 4 with the
local engine; the prediction is that of `edge-sandbox check`.
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
_TFLITE = ("mobilenet_v1_0.5_160", "mobilenet_v2_1.0_224", "mobilenet_v3_small_1.0_224", "efficientnet_lite0")
_SMALL = ("mobilenet_v1_0.25_128", "mobilenet_v2_0.5_160")
_LARGE = "resnet50_v1.5_int8.tflite"
_ONNX = (
    *("mobilenet_v1_0.25_224_fp32.onnx", "mobilenet_v1_1.0_96_fp32.onnx", "resnet18_128.onnx", "resnet18_224.onnx"),
    *("perceptron_1024.onnx", "transformer_256_128.onnx", "transformer_128_512.onnx", "lstm_512_32.onnx"),
)
_ONNX_FEW = ("mobilenet_v1_0.5_128_fp32.onnx", "resnet18_128.onnx", "transformer_256_128.onnx")
_HEAD = """# Predicted and emulated peaks

The peak that `edge-sandbox check` predicts from the file alone, and the one of an emulated run on a Raspberry Pi 4, in
MB; written by `python -m tests.compare_memory`. The models have random weights and come from `tests/zoo`, but for those
of MLPerf Tiny (ad01, kws, pretrainedResnet, str_ww, vww), which are trained.

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

    def tflite(runtime: str, image: str, names: tuple[str, ...]) -> list[Case]:
        models = [f"{name}_{dtype}.tflite" for dtype in ("int8", "fp32") for name in names]
        return [Case(model=model, runtime=runtime, image=image) for model in models]

    def onnx(image: str, models: tuple[str, ...]) -> list[Case]:
        return [Case(model=model, runtime="onnxruntime", image=image) for model in models]

    return (
        *tflite("tflite-runtime", "bookworm-arm64", _TFLITE),
        Case(model=_LARGE, runtime="tflite-runtime", image="bookworm-arm64"),
        *tflite("ai-edge-litert", "bookworm-arm64", _TFLITE),
        *tflite("tflite-runtime", "bookworm-armhf", _SMALL),
        *tflite("tflite-runtime", "bullseye-arm64", _SMALL),
        *onnx("bookworm-arm64", _ONNX),
        *onnx("bullseye-arm64", _ONNX_FEW),
        *onnx("trixie-arm64", _ONNX_FEW),
    )


def trained(folder: Path) -> tuple[Case, ...]:
    """The models in ``folder``, on a 64-bit and on a 32-bit system by turns."""
    images = ("bookworm-arm64", "bookworm-armhf")
    models = sorted(path.name for path in folder.glob("*.tflite"))
    return tuple(
        Case(model=model, runtime="tflite-runtime", image=images[place % 2]) for place, model in enumerate(models)
    )


def measure(case: Case, builder: ImageBuilder, folder: Path | None = None) -> Row:
    """Predict, run once, compare. ``folder`` has the model, unless the zoo makes it."""
    with guard() as protector, tempfile.TemporaryDirectory(prefix="edge-sandbox-compare-") as scratch:
        model, run_dir = Path(scratch) / case.model, Path(scratch) / "run"
        model.write_bytes((folder / case.model).read_bytes() if folder else zoo.make(case.model))
        run_dir.mkdir()
        predicted = check(CheckRequest(model=model, device=_DEVICE, os=case.image, runtime=case.runtime))
        request = ProfileRequest(
            model=model,
            device=_DEVICE,
            os=case.image,
            runtime=case.runtime,
            engine="local",
            memory_bytes=1 << 30,
            inferences=(1, 2),  # ONNX Runtime takes more in the second than in the first
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
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    wanted = [(case, None) for case in cases()] + [(case, folder) for case in (trained(folder) if folder else ())]
    for case, place in wanted:
        rows.append(measure(case, builder, place))
        last = rows[-1]
        sys.stdout.write(f"{case.model} {case.runtime} {case.image}: {last.emulated:.0f} bytes, {last.error:+.1%}\n")
        sys.stdout.flush()
    TABLE.write_text(render(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
