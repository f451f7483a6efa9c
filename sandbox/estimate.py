"""Counts of a result → times on the device, by a calibration: mean, 95th percentile, operators, energy, budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .calibration import Amounts, Calibration, DType, Library, amounts, load_calibrations, within
from .choice import Choice, Target, Workload, choose
from .fit import digest, render_calibration
from .fit_files import left_out_predictions
from .measurements import InstructionClass, Op
from .metrics import Metric, Quantity, Unavailable
from .record import Hardware, RunRecord
from .resources import data_directory
from .result import CalibrationRow, CalibrationUse, Check, Latency, Result
from .units import format_duration
from .verdict import judge

_MOST = 0.9
"""The share of a model's work that must be one library's, in one precision: calibrations are for such models."""
_UNUSUAL = 2.0
"""By how much the interval widens for a model whose instructions are mixed as no measured model's are."""
UNCALIBRATED = "they show proportions, not the device's speed"
"""In the warning about emulated times, which goes once they are calibrated."""
_DTYPES: dict[str, DType] = {"float32": "fp32", "int8": "int8", "uint8": "uint8"}
_INTERPRETER, _BESIDE = "TFLite", "beside"
"""TFLite's own kernels run what its matrix library does not: they go with any."""
_LIBRARIES: dict[str, Library] = {"XNNPACK": "xnnpack", "ruy": "ruy", "gemmlowp": "gemmlowp", "MLAS": "mlas"}


def estimate(result: Result, record: RunRecord, named: Calibration | None = None) -> Result:
    """The result with times of the device, by the shipped calibrations; with the reason, where none fits.

    ``named``: the user's own, to be used instead of them.
    """
    hardware = record.device.hardware
    if hardware is None:
        return result
    if named is not None:
        return _by_named(result, record, hardware, named)
    folder = data_directory("calibration")
    calibrations = load_calibrations(folder)
    found = apply(result, record, hardware, calibrations)
    return found.model_copy(update={"latency": _with_evidence(found.latency, calibrations, folder)})


def apply(
    result: Result, record: RunRecord, hardware: Hardware, calibrations: Sequence[Calibration], *, named: bool = False
) -> Result:
    """The same by the given calibrations; ``named``: the user chose them, and is told so where none fits."""
    size = amounts(record.model.weights_bytes, len(record.model.operators), record.model.traffic)
    chosen = _choice(result, hardware, calibrations, named=named)
    if isinstance(chosen, Choice) and (unknown := chosen.calibration.costs.keys() - size.keys()):
        what = " and ".join(sorted(term.replace("_", " ") + "s" for term in unknown))
        chosen = f"{chosen.calibration.id} needs the number of {what}, which does not follow from the model file"
    latency = _latency(result, hardware, chosen, size)
    ops = result.ops
    if isinstance(chosen, Choice) and isinstance(latency.mean, Metric):
        ops = _operators(result.ops, chosen, latency.mean)
    checks = result.checks
    if record.latency_budget_seconds is not None:
        checks = (*checks, budget_check(latency.mean, record.latency_budget_seconds))
    settled = isinstance(latency.mean, Metric)
    kept = tuple(warning for warning in result.warnings if not (settled and UNCALIBRATED in warning))
    return result.model_copy(
        update={"latency": latency, "ops": ops, "checks": checks, "verdict": judge(checks), "warnings": kept}
    )


def _by_named(result: Result, record: RunRecord, hardware: Hardware, named: Calibration) -> Result:
    """By that calibration or not at all. Its id may be a shipped one's, so only the digest tells them apart."""
    found = apply(result, record, hardware, [named], named=True)
    latency = found.latency
    if latency.calibration is None:
        return found
    use = latency.calibration.model_copy(
        update={
            "digest": digest(render_calibration(named).encode()),
            "notes": ("named with --calibration, instead of the shipped ones", *latency.calibration.notes),
        }
    )
    return found.model_copy(update={"latency": latency.model_copy(update={"calibration": use})})


def _with_evidence(latency: Latency, calibrations: Sequence[Calibration], folder: Path) -> Latency:
    """Name the calibration's file by digest, and add the measured rows behind it: its own or its source's."""
    if latency.calibration is None:
        return latency
    (used,) = (each for each in calibrations if each.id == latency.calibration.id)
    rows = left_out_predictions(
        folder, data_directory("device_specs"), used.transfer.source if used.transfer else used.id
    )
    calibration = latency.calibration.model_copy(
        update={
            "digest": digest(render_calibration(used).encode()),
            "rows": tuple(
                CalibrationRow(
                    model=row.model, measured_seconds=row.measured_seconds, predicted_seconds=row.predicted_seconds
                )
                for row in rows
            ),
        }
    )
    return latency.model_copy(update={"calibration": calibration})


def budget_check(mean: Quantity, budget_seconds: float) -> Check:
    """Passed only when the whole interval is within the budget; failed when the estimate itself is beyond."""
    limit = Metric(value=budget_seconds, unit="second", mode="predicted", source="--latency-budget")
    asked = f"the budget of {format_duration(budget_seconds)}"
    if isinstance(mean, Unavailable):
        return Check(id="latency", status="unknown", value=mean, limit=limit, reason=mean.unavailable)
    low = mean.value if mean.low is None else mean.low
    high = mean.value if mean.high is None else mean.high
    span = f"{format_duration(low)} to {format_duration(high)}"
    if high <= budget_seconds:
        return Check(id="latency", status="pass", value=mean, limit=limit, reason=f"{span} is within {asked}")
    fix = "use a smaller model or input, quantise it, or take a faster device"
    if mean.value > budget_seconds:
        how = "is" if low > budget_seconds else "is more likely than not"
        reason = f"{span} {how} beyond {asked}"
        return Check(id="latency", status="fail", value=mean, limit=limit, reason=reason, fix=fix)
    reason = f"{span} reaches beyond {asked}: the estimate cannot promise it"
    return Check(id="latency", status="warn", value=mean, limit=limit, reason=reason, fix="measure it on the board")


def _choice(result: Result, hardware: Hardware, calibrations: Sequence[Calibration], *, named: bool) -> Choice | str:
    counts = result.latency.counts
    if isinstance(counts.instructions, Unavailable):
        return counts.instructions.unavailable
    library = kernel_library(result)
    dtype = _dominant(result.ops, _dtype)
    if not any(isinstance(op.instructions, Metric) for op in result.ops):
        return "which kernels ran is not known: " + (result.ops_unavailable or "no operator was counted")
    chosen = choose(
        calibrations,
        Target(
            id=result.device.id,
            soc=hardware.soc,
            core=result.device.core,
            clock_hz=hardware.clock_hz,
            bandwidth_bytes_per_second=hardware.bandwidth_bytes_per_second,
        ),
        Workload(
            runtime=result.runtime.name,
            runtime_version=result.runtime.version,
            library=library,
            dtype=dtype,
            threads=result.runtime.threads,
            architecture=result.image.id.rpartition("-")[2],
            work_alone=result.runtime.threads == 1 or result.latency.work is not None,
        ),
    )
    if named and isinstance(chosen, str):
        return f"--calibration {' '.join(each.id for each in calibrations)} does not serve this run: {chosen}"
    return chosen


def kernel_library(result: Result) -> str | None:
    """Whose kernels executed nearly all instructions of the operators; None for several, or for one without a name.

    Where operators are not counted, what the runtime says of all of them.
    """
    ran = [op for op in result.ops if op.status in {"native", "delegated"}]
    if any(isinstance(op.instructions, Metric) for op in ran):
        return _dominant(ran, _library)
    said = {_library(op) for op in ran}
    return said.pop() if len(said) == 1 else None


def _dtype(op: Op) -> str | None:
    return _DTYPES.get(op.dtype or "")


def _library(op: Op) -> str | None:
    """The kernel library of an operator, `_BESIDE` for one that runs in the interpreter's own code."""
    if op.delegate:
        return _LIBRARIES.get(op.delegate)
    names = [kernel.library for kernel in op.kernels]
    known = next((_LIBRARIES[name] for name in names if name in _LIBRARIES), None)
    if known is None and names and all(name.startswith(_INTERPRETER) for name in names):
        return _BESIDE
    return known


def _dominant(ops: Sequence[Op], of: Callable[[Op], str | None]) -> str | None:
    """The property that nearly all instructions of operators share; None where there is none."""
    shares: dict[str | None, float] = {}
    for op in ops:
        if isinstance(op.instructions, Metric) and op.status in {"native", "delegated"}:
            name = of(op)
            if name == _BESIDE:
                continue
            shares[name] = shares.get(name, 0.0) + op.instructions.value
    name, most = max(shares.items(), key=lambda item: item[1], default=(None, 0.0))
    return name if most and most >= _MOST * math.fsum(shares.values()) else None


def _work(latency: Latency) -> Mapping[InstructionClass, int]:
    """The instructions that calibrations are for: of one thread where that was counted."""
    return (latency.work or latency.counts).classes


def _latency(result: Result, hardware: Hardware, chosen: Choice | str, size: Amounts) -> Latency:
    latency = result.latency
    if isinstance(chosen, str):
        none = Unavailable(unavailable=chosen)
        return latency.model_copy(
            update={"mean": none, "p95": none, "throughput": none, "sustained": none, "energy": none}
        )
    model = chosen.calibration
    work = _work(latency)
    slots = model.slots.of(work)
    width, notes = chosen.half_width, chosen.notes
    least, most = model.slots_per_instruction
    mix = slots / max(1, sum(work.values()))
    if not 0.95 * least <= mix <= 1.05 * most:
        width *= _UNUSUAL
        notes = (*notes, "its instructions are mixed as no measured model's are: the interval is twice as wide")
    left_out = model.unseen
    error = f", {left_out.mean:.1%} mean error on what it had not seen" if left_out else ""
    source = f"calibration {model.id}{error}"
    seconds = model.seconds(work, size)
    mean = _metric(seconds, width, source)
    return latency.model_copy(
        update={
            "mean": mean,
            "p95": _tail(mean, model.tail),
            "throughput": Metric(
                value=1 / seconds,
                unit="inference/second",
                mode="calibrated",
                low=1 / (mean.high or seconds),
                high=1 / (mean.low or seconds),
                source=source,
            ),
            "sustained": _sustained(result, hardware, chosen, width=width, size=size, source=source),
            "energy": _energy(mean, result.runtime.threads / result.device.cores, hardware),
            "calibration": CalibrationUse(id=model.id, error=left_out.mean if left_out else None, notes=notes),
        }
    )


def _metric(seconds: float, half_width: float, source: str) -> Metric:
    low, high = within(seconds, half_width)
    return Metric(value=seconds, unit="second", mode="calibrated", low=low, high=high, source=source)


def _tail(mean: Metric, tail: float | None) -> Quantity:
    if tail is None:
        return Unavailable(unavailable="the rows that the calibration was fitted to print no 95th percentile")
    return Metric(
        value=mean.value * tail,
        unit="second",
        mode="calibrated",
        low=(mean.low or mean.value),
        high=(mean.high or mean.value) * tail,
        source=mean.source,
    )


def _sustained(
    result: Result, hardware: Hardware, chosen: Choice, *, width: float, size: Amounts, source: str
) -> Quantity:
    clock = hardware.sustained_clock_hz
    if clock is None:
        return Unavailable(unavailable=f"the spec of {result.device.id} gives no cpu.sustained_clock_hz")
    slow = chosen.calibration.model_copy(update={"clock_hz": clock})
    seconds = slow.seconds(_work(result.latency), size)
    return _metric(seconds, width, f"{source}, at {clock / 1e6:.0f} MHz")


def _energy(mean: Metric, busy: float, hardware: Hardware) -> Quantity:
    """Time by the board's power: as much above idle as cores are busy. At least idle, at most full load."""
    idle, load = hardware.idle_watts, hardware.load_watts
    if idle is None or load is None:
        return Unavailable(unavailable="the spec gives no power.idle_watts and power.load_watts")
    return Metric(
        value=mean.value * (idle + (load - idle) * min(1.0, busy)),
        unit="joule",
        mode="calibrated",
        low=(mean.low or mean.value) * idle,
        high=(mean.high or mean.value) * load,
        source=f"{mean.source}; the whole board, between {idle:g} W idle and {load:g} W with all cores busy",
    )


def _operators(ops: Sequence[Op], chosen: Choice, mean: Metric) -> tuple[Op, ...]:
    """Times of the operators, which add up to the whole: weights' bytes are shared as instructions' slots are."""
    slots = chosen.calibration.slots
    costs = [slots.of(op.classes) for op in ops]
    whole = math.fsum(costs)
    if whole <= 0:
        return tuple(ops)
    return tuple(
        op.model_copy(
            update={
                "time": Metric(
                    value=mean.value * cost / whole,
                    unit="second",
                    mode="calibrated",
                    low=(mean.low or mean.value) * cost / whole,
                    high=(mean.high or mean.value) * cost / whole,
                    source=mean.source,
                )
            }
        )
        if isinstance(op.instructions, Metric)
        else op
        for op, cost in zip(ops, costs, strict=True)
    )
