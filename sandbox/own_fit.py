"""A measurement of one's own board → a calibration: counts its models under emulation, then fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from .calibration import Calibration, DType, Library, Slots
from .device import load_device
from .engines.guard import Guard
from .errors import DataFileError
from .estimate import kernel_library
from .fit import FitInput, FitPlan, calibrate, digest
from .image.build import ImageBuilder
from .measurement import Measurement, doubts
from .model_counts import CountSet, render_counts
from .resources import data_directory
from .suite import CountPlan, count_models, profiled

_SLOTS: dict[DType, Slots] = {
    "fp32": Slots(multiply=1, vector=1, memory=2, other=0.5),
    "int8": Slots(multiply=1, vector=2.5, memory=2.5, other=0.5),
    "uint8": Slots(multiply=1, vector=2.5, memory=2.5, other=0.5),
}
_ALL_ALIKE = Slots(multiply=1, vector=1, memory=1, other=1)
"""For x86-64, whose instructions are not told apart by class."""


@dataclass(frozen=True, kw_only=True)
class OwnCounts:
    """The measured models' counts on the emulated device, with the measured build, and whose kernels were counted."""

    counts: CountSet
    library: Library


def count_own(
    measurement: Measurement, device: str, dtype: DType, builder: ImageBuilder, protector: Guard
) -> OwnCounts:
    """Run what was measured under emulation. Raises `DataFileError` for kernels of several libraries."""
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
    names = [counted.model for counted in states[-1].models]
    model = next((name for name in names if not name.startswith("op_")), names[0])  # a network before an operator
    result, _graph, _traffic = profiled(plan, model, dtype, builder, protector, jobs=("latency", "operators"))
    found = kernel_library(result)
    library: Library | None = next((name for name in get_args(Library) if name == found), None)
    if library is None:
        raise DataFileError(
            f"{model} {dtype} ran in kernels of several libraries, or of one without a name",
            hint="measure with another --dtype or --runtime",
        )
    return OwnCounts(counts=states[-1], library=library)


def fit_own(measurement: Measurement, own: OwnCounts, device: str, dtype: DType) -> Calibration:
    """The calibration, with what makes the times doubtful as notes. Raises `DataFileError`."""
    spec = load_device(device, data_directory("device_specs"))
    if spec.id != measurement.device:
        raise DataFileError(
            f"the measurement is of {measurement.device}, not of {spec.id}", hint="name the spec that it was made with"
        )
    counts = own.counts
    build = f"{measurement.runtime}-{measurement.runtime_version}-{own.library}-{dtype}-{measurement.threads}t"
    plan = FitPlan(
        id=f"{spec.id}/{build}",
        group="own",
        counts=counts.id,
        measured="measurement",
        library=own.library,
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
