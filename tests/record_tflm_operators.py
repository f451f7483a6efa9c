"""``python -m tests.record_tflm_operators``: ask TFLM's wheel for every operator, and write which of them it has.

Needs the image with TFLM on an x86-64 host; run it after a new lock of that image.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import tflite  # type: ignore[import-untyped]

from sandbox import rundir
from sandbox.cli.common import image_builder
from sandbox.cli.stderr_progress import StderrProgress
from sandbox.engines.base import Engine
from sandbox.engines.guard import Guard, guard
from sandbox.graph import read_model
from sandbox.image.build import ImageBuilder
from sandbox.microcontroller.host import IMAGE, RUNTIME, arena_job, host_engine, run_arena
from sandbox.microcontroller.operators import FILE
from sandbox.plan import ProfileRequest
from sandbox.zoo.flatbuffer import TfliteFile

PROJECT = Path(__file__).parents[1]
UNKNOWN = "Didn't find op for builtin opcode"
UNKNOWN_CUSTOM = "Failed to get registration from op code"
CUSTOM = (
    "SignalDelay", "SignalEnergy", "SignalFftAutoScale", "SignalFilterBank", "SignalFilterBankLog",
    "SignalFilterBankSpectralSubtraction", "SignalFilterBankSquareRoot", "SignalFramer", "SignalIrfft",
    "SignalOverlapAdd", "SignalPCAN", "SignalRfft", "SignalStacker", "SignalWindow", "CIRCULAR_BUFFER",
    "TFLite_Detection_PostProcess", "TFLM_DECODE", "ethos-u", "FlexRFFT",
)  # fmt: skip
"""Names that TFLM's sources register, and one that no build can have."""


def builtins() -> tuple[str, ...]:
    """Names of the schema's operators, in its order."""
    names = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
    left_out = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
    return tuple(names[number] for number in sorted(names) if names[number] not in left_out)


def one_operator(kind: str) -> bytes:
    file = TfliteFile(f"one {kind}")
    value, result = file.tensor("x", "float32", (1, 4)), file.tensor("y", "float32", (1, 4))
    file.operator(kind, 1, [value], [result])
    return file.finish([value], [result])


def has(kind: str, folder: Path, builder: ImageBuilder, engine: Engine) -> bool:
    """Whether TFLM knows the operator; that it cannot prepare this meaningless one does not matter."""
    model = folder / "model.tflite"
    model.write_bytes(one_operator(kind))
    image = builder.build(IMAGE)
    job = arena_job(ProfileRequest(model=model, device=""), read_model(model), image, builder.guest_code(image), folder)
    run_arena(engine, job)
    report = rundir.read_runner_report(job.run_dir) or {}
    said = str((report.get("error") or {}).get("message", ""))
    return UNKNOWN not in said and UNKNOWN_CUSTOM not in said


def asked(kinds: tuple[str, ...], builder: ImageBuilder, protector: Guard) -> list[str]:
    engine = host_engine(builder, protector, isolated=True)
    assert engine is not None, "TFLM's wheel is for x86-64"
    found = []
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            if has(kind, Path(folder), builder, engine):
                found.append(kind)
    return sorted(found)


def main() -> None:
    builder = image_builder(None, StderrProgress())
    with guard() as protector:
        document = {
            "schema_version": 1,
            "version": builder.build(IMAGE).lock.runtime_versions(RUNTIME)[0],
            "builtin": asked(builtins(), builder, protector),
            "custom": asked(CUSTOM, builder, protector),
        }
    path = PROJECT / "images" / IMAGE / FILE
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
