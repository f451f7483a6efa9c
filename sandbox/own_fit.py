"""A measurement of one's own board → a calibration: counts its models under emulation, then fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError

from .calibration import Calibration, DType, Library, Slots, Term
from .device import DeviceSpec, load_device
from .engines.guard import Guard
from .errors import DataFileError
from .estimate import kernel_library
from .fit import FitInput, FitPlan, calibrate, digest
from .image.build import ImageBuilder
from .json_file import first_problem
from .measurement import SUITE, Measurement, doubts
from .model_counts import CountSet, render_counts
from .resources import data_directory
from .suite import CountPlan, count_models, load_plans, profiled

_SLOTS: dict[DType, Slots] = {
    "fp32": Slots(multiply=1, vector=1, memory=2, other=0.5),
    "int8": Slots(multiply=1, vector=2.5, memory=2.5, other=0.5),
    "uint8": Slots(multiply=1, vector=2.5, memory=2.5, other=0.5),
}
_MEASURE = "measure again: edge-sandbox calibration measure"
_SPEC = "name the spec that it was made with"
_ALL_ALIKE = Slots(multiply=1, vector=1, memory=1, other=1)
"""For x86-64, whose instructions are not told apart by class."""


@dataclass(frozen=True, kw_only=True)
class OwnCounts:
    """The measured models' counts on the emulated device, with the measured build, and whose kernels were counted."""

    counts: CountSet
    library: Library


def require(measurement: Measurement, device: str) -> tuple[DType, ...]:
    """Its precisions, if a fit to each can come of it: counting takes minutes, and says nothing of this.

    Raises `DataFileError` for another board's measurement, models that are not known or not enough of them.
    """
    spec = _spec_of(measurement, device)
    plans = load_plans(data_directory("calibration") / "suites.toml")
    known = {*SUITE, *(model for plan in plans for models in plan.models.values() for model in models)}
    names = [(timing.model, timing.dtype) for timing in measurement.timings]
    if not names:
        raise DataFileError("nothing was timed in the measurement", hint=_MEASURE)
    for name, dtype in names:
        if name not in known:
            raise DataFileError(f"the measurement has a model that is not known: {name}", hint=_MEASURE)
        if names.count((name, dtype)) > 1:
            raise DataFileError(f"the measurement has {name} {dtype} twice", hint="leave one of the two out")
    found = tuple(dict.fromkeys(dtype for _name, dtype in names))
    for dtype in found:
        _count_plan(measurement, device, dtype)
        numbers = 1 + len(_fit_plan(measurement, spec, dtype, "any", "own-counts").terms)
        models = sum(each == dtype for _name, each in names)
        if models <= numbers:
            raise DataFileError(
                f"the measurement has {models} {dtype} models for {numbers} numbers to fit", hint=_MEASURE
            )
    return found


def count_own(
    measurement: Measurement, device: str, dtype: DType, builder: ImageBuilder, protector: Guard
) -> OwnCounts:
    """Run what was measured under emulation. Raises `DataFileError` for kernels of several libraries."""
    plan = _count_plan(measurement, device, dtype)
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
    spec, counts = _spec_of(measurement, device), own.counts
    plan = _fit_plan(measurement, spec, dtype, own.library, counts.id)
    given = FitInput(
        plan=plan,
        device=spec,
        counts=counts,
        rows=measurement.rows(),
        digests=(digest(render_counts(counts).encode()), digest(measurement.model_dump_json().encode())),
    )
    return calibrate(given, [given])


def _spec_of(measurement: Measurement, device: str) -> DeviceSpec:
    spec = load_device(device, data_directory("device_specs"))
    if spec.id != measurement.device:
        raise DataFileError(f"the measurement is of {measurement.device}, not of {spec.id}", hint=_SPEC)
    if (spec.cpu.core, spec.soc) != (measurement.core, measurement.soc):
        raise DataFileError(
            f"the measurement is of a {measurement.core} in {measurement.soc}, "
            f"and {spec.id} is a {spec.cpu.core} in {spec.soc}",
            hint=_SPEC,
        )
    return spec


def _count_plan(measurement: Measurement, device: str, dtype: DType) -> CountPlan:
    try:
        return CountPlan(
            id="own-counts",
            device=device,
            os=measurement.os,
            runtime=f"{measurement.runtime}@{measurement.runtime_version}",
            delegates=measurement.delegates,
            threads=1,
            models={dtype: tuple(timing.model for timing in measurement.timings if timing.dtype == dtype)},
        )
    except ValidationError as error:
        raise DataFileError(f"the measurement: {first_problem(error)}", hint=_MEASURE) from error


def _fit_plan(measurement: Measurement, spec: DeviceSpec, dtype: DType, library: Library, counts: str) -> FitPlan:
    build = f"{measurement.runtime}-{measurement.runtime_version}-{library}-{dtype}-{measurement.threads}t"
    terms: tuple[Term, ...] = ("weight_byte", "operator") if measurement.threads > 1 else ("weight_byte",)
    try:
        return FitPlan(
            id=f"{spec.id}/{build}",
            group="own",
            counts=counts,
            measured="measurement",
            library=library,
            slots=(_ALL_ALIKE if measurement.os.endswith("amd64") else _SLOTS[dtype],),
            terms=terms,
            dtypes=(dtype,),
            threads=measurement.threads,
            where={},
            notes=doubts(measurement),
        )
    except ValidationError as error:
        problem = f"{spec.id}/{build} names no calibration: {first_problem(error)}"
        raise DataFileError(problem, hint="name the spec's file in letters, digits and hyphens") from error
