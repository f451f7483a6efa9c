"""``python -m tests.record_kernel_costs [DEVICE…]``: count what kernels of each build cost, into ``compatibility/``.

Each build runs the same quantised and float models on the cores of some devices, under emulation, and the instructions
of each operator are divided by the multiply-accumulates that its shapes give. What a delegate takes is counted a second
time without delegates. Devices that are not named keep their rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sandbox import pipeline
from sandbox.compatibility.kernel_costs import KernelCosts, KernelRow, load_kernel_costs
from sandbox.device import load_device, select_os
from sandbox.engines.guard import guard
from sandbox.graph import ModelGraph, read_dataflow, read_model
from sandbox.graph.macs import multiply_accumulates
from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.measurements import Op
from sandbox.metrics import Metric
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.resources import cache_directory, data_directory

from . import zoo

_ARCHITECTURE = "arm64"
_DEVICES = ("rpi3b", "rpi4b", "rpi5")
_BUILDS = (
    ("bookworm-arm64", "tflite-runtime", "2.14.0"),
    ("bullseye-arm64", "tflite-runtime", "2.11.0"),
    ("bookworm-arm64", "ai-edge-litert", "2.3.0"),
)
_DTYPES = ("int8", "fp32")
_MODELS = tuple(
    f"{name}_{dtype}.tflite"
    for dtype in _DTYPES
    for name in ("mobilenet_v1_0.25_128", "mobilenet_v2_0.35_96", "dense_512")
)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One operator of one run."""

    type: str
    dtype: str
    macs: int
    instructions: int
    libraries: tuple[tuple[str, int], ...]
    """Instructions of its costliest functions, by kernel library."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.record_kernel_costs", description=__doc__)
    parser.add_argument("devices", nargs="*", metavar="DEVICE", help=f"default: {', '.join(_DEVICES)}")
    directory = data_directory("compatibility")
    path = directory / "kernel_costs" / f"{_ARCHITECTURE}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for device in parser.parse_args().devices or _DEVICES:
        known = load_kernel_costs(_ARCHITECTURE, directory)
        rows, emulator = record(device)
        kept = [row for row in known.rows if row.emulated_cpu != rows[0].emulated_cpu] if known else []
        table = KernelCosts(
            architecture=_ARCHITECTURE,
            recorded=datetime.now(timezone.utc).date().isoformat(),
            emulator=emulator,
            models=_MODELS,
            rows=tuple(sorted([*kept, *rows], key=lambda row: (row.emulated_cpu, row.dtype, row.type, row.per_mac))),
        )
        path.write_text(_text(table))


def record(device: str, builds: Sequence[tuple[str, str, str]] = _BUILDS) -> tuple[list[KernelRow], str]:
    """The rows of every build that this device has an image for, and the emulator."""
    rows, emulator = [], ""
    specs = data_directory("device_specs")
    for image, runtime, version in builds:
        if image not in {each.image for each in load_device(device, specs).os}:
            continue
        core = select_os(load_device(device, specs), image).emulated_cpu
        for models in _models_by_dtype():
            for delegates in (True, False):
                counted = []
                for model in models:
                    found, emulator = count(model, device, image, f"{runtime}@{version}", delegates=delegates)
                    counted += found
                for kind in sorted({each.type for each in counted}):
                    same = [each for each in counted if each.type == kind]
                    rows.append(_row(same, runtime=runtime, version=version, emulated_cpu=core, delegates=delegates))
                    sys.stdout.write(
                        f"{device} {runtime} {version} {rows[-1].library} {kind}: {rows[-1].per_mac:.2f}\n"
                    )
                    sys.stdout.flush()
                if not any(row.library == "XNNPACK" for row in rows[-len({each.type for each in counted}) :]):
                    break  # no delegate took any: without delegates they are the same kernels
    return rows, emulator


def _models_by_dtype() -> Iterator[tuple[str, ...]]:
    for dtype in _DTYPES:
        yield tuple(model for model in _MODELS if model.endswith(f"_{dtype}.tflite"))


def count(model: str, device: str, image: str, runtime: str, *, delegates: bool = True) -> tuple[list[Counted], str]:
    """One profile of one inference: its operators that multiply and accumulate, and the emulator."""
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-costs-") as folder, guard() as protector:
        path = Path(folder) / model
        path.write_bytes(zoo.make(model))
        request = ProfileRequest(
            model=path,
            device=device,
            os=image,
            runtime=runtime,
            engine="local",
            jobs=("latency", "operators"),
            delegates=delegates,
        )
        builder = ImageBuilder(
            images=data_directory("images"), store=Store(cache_directory()), progress=Silent(), mirror=None
        )
        result = pipeline.profile(request, Path(folder) / "run", builder, protector)
        if not result.ops:
            sys.exit(f"{model} on {device} with {runtime}: no operators were counted")
        found = list(matched(read_model(path), result.ops))
        source = next(op.instructions.source for op in result.ops if isinstance(op.instructions, Metric))
        return found, source or ""


def matched(graph: ModelGraph, rows: Sequence[Op]) -> Iterator[Counted]:
    """The model's operators that multiply and accumulate, each with the next row of the run that has its shape.

    A delegate names its rows as it likes (a convolution of one pixel is fully connected to XNNPACK) but runs them in
    the file's order. Exits where a row is missing: the table would be wrong.
    """
    flow = read_dataflow(graph, {})[0]
    left = iter(rows)
    for operator, step in zip(graph.operators, flow.steps, strict=True):
        macs = multiply_accumulates(operator.type, flow, step, custom=operator.custom)
        if not isinstance(macs, Metric) or macs.value == 0:
            continue
        shape = flow.values[step.outputs[0]].shape
        row = next((each for each in left if each.shape == shape and _multiplies(each)), None)
        if row is None or not isinstance(row.instructions, Metric):
            sys.exit(f"operator {operator.index} {operator.type}: the run has no row for it")
        libraries = tuple(
            (kernel.library, int(kernel.instructions.value))
            for kernel in row.kernels
            if isinstance(kernel.instructions, Metric)
        )
        yield Counted(
            type=operator.type,
            dtype=operator.dtype or "",
            macs=int(macs.value),
            instructions=int(row.instructions.value),
            libraries=libraries,
        )


def _multiplies(row: Op) -> bool:
    return row.status != "outside" and row.type in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def _row(counted: Sequence[Counted], *, runtime: str, version: str, emulated_cpu: str, delegates: bool) -> KernelRow:
    libraries: dict[str, int] = {}
    for library, instructions in (each for one in counted for each in one.libraries):
        libraries[library] = libraries.get(library, 0) + instructions
    ratios = [each.instructions / each.macs for each in counted]
    return KernelRow(
        runtime=runtime,
        version=version,
        emulated_cpu=emulated_cpu,
        delegates=delegates,
        type=counted[0].type,
        dtype=counted[0].dtype,
        library=max(libraries, key=lambda name: libraries[name]),
        operators=len(counted),
        macs=sum(each.macs for each in counted),
        instructions=sum(each.instructions for each in counted),
        low=round(min(ratios), 4),
        high=round(max(ratios), 4),
    )


def _text(table: KernelCosts) -> str:
    """One row of the table on each line."""
    document = table.model_dump(mode="json")
    rows = ",\n  ".join(json.dumps(row) for row in document.pop("rows"))
    return json.dumps(document, indent=1)[:-2] + f',\n "rows": [\n  {rows}\n ]\n}}\n'


if __name__ == "__main__":
    main()
