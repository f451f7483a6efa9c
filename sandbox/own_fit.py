"""A measurement of one's own board → a calibration: counts its models under emulation, then fits."""

from __future__ import annotations

from .calibration import Calibration, DType, Slots
from .device import load_device
from .engines.guard import Guard
from .errors import DataFileError
from .fit import FitInput, FitPlan, calibrate, digest
from .image.build import ImageBuilder
from .measurement import Measurement, doubts
from .model_counts import CountSet, render_counts
from .resources import data_directory
from .suite import CountPlan, count_models

_SLOTS: dict[DType, Slots] = {
    "fp32": Slots(multiply=1, vector=1, memory=2, other=0.25),
    "int8": Slots(multiply=1, vector=2.5, memory=2.5, other=1),
    "uint8": Slots(multiply=1, vector=2.5, memory=2.5, other=1),
}
_ALL_ALIKE = Slots(multiply=1, vector=1, memory=1, other=1)
"""For x86-64, whose instructions are not told apart by class."""


def count_own(measurement: Measurement, device: str, dtype: DType, builder: ImageBuilder, protector: Guard) -> CountSet:
    """The measured models' counts on the emulated device, with the measured build."""
    plan = CountPlan(
        id="own-counts",
        device=device,
        os=measurement.os,
        runtime=f"{measurement.runtime}@{measurement.runtime_version}",
        delegates=measurement.delegates,
        threads=1,
        models={dtype: tuple(timing.model for timing in measurement.timings if timing.dtype == dtype)},
    )
    states = tuple(count_models(plan, None, builder, protector))
    if not states:
        raise DataFileError(f"the measurement has no {dtype} models", hint="measure with --dtype")
    return states[-1]


def fit_own(measurement: Measurement, counts: CountSet, device: str, dtype: DType) -> Calibration:
    """The calibration, with what makes the times doubtful as notes. Raises `DataFileError`."""
    spec = load_device(device, data_directory("device_specs"))
    if spec.id != measurement.device:
        raise DataFileError(
            f"the measurement is of {measurement.device}, not of {spec.id}", hint="name the spec that it was made with"
        )
    build = f"{measurement.runtime}-{measurement.runtime_version}-xnnpack-{dtype}-{measurement.threads}t"
    plan = FitPlan(
        id=f"{spec.id}/{build}",
        group="own",
        counts=counts.id,
        measured="measurement",
        library="xnnpack",
        slots=(_ALL_ALIKE if measurement.os.endswith("amd64") else _SLOTS[dtype],),
        terms=("weight_byte", "operator") if measurement.threads > 1 else ("weight_byte",),
        dtypes=(dtype,),
        threads=measurement.threads,
        where={},
        notes=doubts(measurement),
    )
    given = FitInput(
        plan=plan,
        device=spec,
        counts=counts,
        rows=measurement.rows(),
        digests=(digest(render_counts(counts).encode()), digest(measurement.model_dump_json().encode())),
    )
    return calibrate(given, [given])
