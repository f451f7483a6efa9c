"""Does the device's build compute the same? Outputs of several sides compared, and who departs from whom. Pure.

Sides are the device's build, the same without its delegates, the same runtime on this host, and a third that decides
between them: the runtime's reference kernels, or values that were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from .metrics import Metric, Mode, Quantity, Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Sequence[tuple[str, NDArray[Any]]]

SideName = Literal["device", "device_plain", "host", "reference", "given"]
ParityStatus = Literal["pass", "warn", "fail", "unknown"]

SIDES: Mapping[SideName, str] = {
    "device": "the device's build",
    "device_plain": "the device's build without delegates",
    "host": "the host's build",
    "reference": "the reference kernels",
    "given": "the given outputs",
}

FLOAT_TOLERANCES: Mapping[str, float] = {"float64": 1e-5, "float32": 1e-3, "float16": 2e-2}
"""Largest difference that rounding explains, as a share of the output's largest magnitude. Sums of thousands of
products in another order differ by 1e-5 to 1e-4 in float32."""
STEP_TOLERANCES: Mapping[str, int] = {"int8": 2, "uint8": 2, "int16": 4}
"""The same for quantised values, in steps: kernels round their products once or twice, each layer anew."""
_SMALL = 1e-3
"""Elements below this share of the largest have no relative difference worth a name."""
_TOP = 5


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Difference(_Frozen):
    """One tensor of two sides."""

    output: str
    dtype: str
    shape: tuple[int, ...]
    largest_absolute: Quantity
    """In the tensor's own unit; of quantised values, in steps."""
    largest_relative: Quantity
    """Of elements that are not small beside the largest."""
    cosine: Quantity
    top1: Quantity
    """Share of rows in which both sides name the same largest element."""
    top5: Quantity
    """Share of the five largest elements that both sides name."""
    tolerance: Quantity
    """Of the largest absolute difference."""
    departs: bool


class Side(_Frozen):
    """Who computed."""

    side: SideName
    what: str
    """Runtime, version and image, or the file."""
    unavailable: str | None = None
    """Why it has no outputs."""


class Comparison(_Frozen):
    """Two sides."""

    side: SideName
    against: SideName
    outputs: tuple[Difference, ...]
    unavailable: str | None = None

    @property
    def departs(self) -> bool:
        """Whether any output differs by more than rounding explains."""
        return any(output.departs for output in self.outputs)


class Departure(_Frozen):
    """The first operator whose output departs, its inputs being those of its own side."""

    index: int
    type: str
    name: str
    against: SideName
    difference: Difference


class Parity(_Frozen):
    """The whole comparison."""

    inputs: str
    sides: tuple[Side, ...]
    comparisons: tuple[Comparison, ...]
    first_departure: Departure | None = None
    first_departure_unavailable: str | None = None
    """Why no operator is named; None where one is, or where none departs."""


def difference(name: str, actual: NDArray[Any], expected: NDArray[Any], *, mode: Mode) -> Difference:
    """Compare one tensor. Other shapes or types depart, and so do other places of infinity and not-a-number."""
    import numpy as np  # noqa: PLC0415  # only parity needs it here

    known = {"output": name, "dtype": str(actual.dtype), "shape": actual.shape}
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        other = f"the other side has {expected.dtype} {list(expected.shape)}"
        return _no_numbers(known, other, departs=True)
    if actual.dtype.kind not in "fiub":
        same = bool(np.array_equal(actual, expected))
        return _no_numbers(known, f"values of type {actual.dtype} are compared as a whole", departs=not same)
    if actual.size == 0:
        return _no_numbers(known, "it has no elements", departs=False)
    one, other_values = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other_values)
    odd = bool((~finite & ~((one == other_values) | (np.isnan(one) & np.isnan(other_values)))).any())
    one, other_values = np.where(finite, one, 0.0), np.where(finite, other_values, 0.0)
    apart, magnitude = np.abs(one - other_values), np.abs(other_values)
    scale = float(magnitude.max())
    tolerance = tolerance_of(str(actual.dtype), scale)
    largest = float(apart.max())
    counted = magnitude >= _SMALL * scale if scale else np.zeros_like(finite)
    relative = float((apart[counted] / magnitude[counted]).max()) if counted.any() else None

    def metric(value: float, unit: Literal["1", "step"] = "1") -> Metric:
        return Metric(value=value, unit=unit, mode=mode)

    unit: Literal["1", "step"] = "step" if str(actual.dtype) in STEP_TOLERANCES else "1"
    return Difference(
        **known,
        largest_absolute=metric(largest, unit),
        largest_relative=Unavailable(unavailable="all are zero") if relative is None else metric(relative),
        cosine=_cosine(one, other_values, metric),
        top1=_agreement(one, other_values, 1, metric),
        top5=_agreement(one, other_values, _TOP, metric),
        tolerance=Metric(value=tolerance, unit=unit, mode="predicted", source="thresholds by type"),
        departs=odd or largest > tolerance,
    )


def tolerance_of(dtype: str, scale: float) -> float:
    """The largest absolute difference that rounding explains; 0 for types that are exact."""
    if dtype in FLOAT_TOLERANCES:
        return FLOAT_TOLERANCES[dtype] * scale
    return float(STEP_TOLERANCES.get(dtype, 0))


def _no_numbers(known: Mapping[str, Any], reason: str, *, departs: bool) -> Difference:
    nothing = Unavailable(unavailable=reason)
    names = ("largest_absolute", "largest_relative", "cosine", "top1", "top5", "tolerance")
    return Difference(**known, **dict.fromkeys(names, nothing), departs=departs)


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64], metric: Any) -> Quantity:
    import numpy as np  # noqa: PLC0415

    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    if lengths == 0:
        return Unavailable(unavailable="a vector of zeros has no direction")
    found: Metric = metric(float(np.vdot(one, other)) / lengths)
    return found


def _agreement(one: NDArray[np.float64], other: NDArray[np.float64], count: int, metric: Any) -> Quantity:
    """Share of the ``count`` largest of each row that both sides name. Elements that tie with the last are as good."""
    import numpy as np  # noqa: PLC0415

    if one.ndim == 0 or one.shape[-1] < 2 * count:
        return Unavailable(unavailable=f"its rows have fewer than {2 * count} elements")
    ours, theirs = one.reshape(-1, one.shape[-1]), other.reshape(-1, other.shape[-1])
    chosen = np.argpartition(ours, -count, axis=-1)[:, -count:]
    least = np.partition(theirs, -count, axis=-1)[:, -count][:, None]
    found: Metric = metric(float((np.take_along_axis(theirs, chosen, axis=-1) >= least).mean()))
    return found


def compare(side: SideName, against: SideName, outputs: Mapping[SideName, Arrays | str], *, mode: Mode) -> Comparison:
    """Compare all outputs of two sides, each by position: names may repeat. A text in ``outputs`` says why not."""
    one, other = outputs[side], outputs[against]
    missing = next((why for why in (one, other) if isinstance(why, str)), None)
    if missing is None and len(one) != len(other):
        missing = f"{SIDES[side]} has {len(one)} outputs, {SIDES[against]} {len(other)}"
    if missing is not None or isinstance(one, str) or isinstance(other, str):
        return Comparison(side=side, against=against, outputs=(), unavailable=missing)
    rows = [difference(name, ours, theirs, mode=mode) for (name, ours), (_, theirs) in zip(one, other, strict=True)]
    return Comparison(side=side, against=against, outputs=tuple(rows))


def judge(parity: Parity) -> tuple[ParityStatus, str, str | None]:
    """(status, reason, next step): which side departs, by what the third says. Without a third nobody is wrong."""
    found = {(c.side, c.against): c for c in parity.comparisons if c.unavailable is None}
    third: SideName = "given" if any(side.side == "given" for side in parity.sides) else "reference"
    device, host = found.get(("device", third)), found.get(("host", third))
    between = found.get(("device", "host"))
    named = SIDES[third]
    if device is None:
        return _without_third(parity, between)
    if not device.departs:
        beside = f"; {SIDES['host']} departs from it: {worst(host)}" if host is not None and host.departs else ""
        return "pass", f"{SIDES['device']} agrees with {named}: {worst(device)}{beside}", None
    reason, fix = (
        f"{SIDES['device']} departs from {named}: {worst(device)}",
        _way_out(parity, found.get(("device_plain", third))),
    )
    if host is not None and not host.departs:
        return "fail", f"{reason}; {SIDES['host']} agrees with it", fix
    if third == "given":
        return "fail", f"{reason}; " + (f"so does {SIDES['host']}" if host else f"{SIDES['host']} was not asked"), fix
    if host is None:
        return "unknown", f"{reason}; {SIDES['host']} was not asked", fix
    if between is not None and not between.departs:
        return "warn", f"{reason}; {SIDES['host']} agrees with the device, so it is {named} that differ", fix
    return "unknown", f"{reason}; {SIDES['host']} departs from both, so nobody is right by two to one", fix


def _without_third(parity: Parity, between: Comparison | None) -> tuple[ParityStatus, str, str | None]:
    why = {side.side: side.unavailable for side in parity.sides}
    third = why.get("given") or why.get("reference") or "no third side was asked"
    fix = "give the outputs that you expect: --parity-reference FILE.npz"
    if between is None:
        return "unknown", f"nothing to compare with: {why.get('host') or third}", fix
    if not between.departs:
        return "pass", f"{SIDES['device']} agrees with {SIDES['host']}: {worst(between)}", None
    reason = f"{SIDES['device']} and {SIDES['host']} differ: {worst(between)}; which of them departs is open: {third}"
    return "unknown", reason, fix


def _way_out(parity: Parity, plain: Comparison | None) -> str:
    if plain is not None and not plain.departs:
        return "run it without delegates on the device: the runtime's own kernels agree (--no-delegates)"
    if parity.first_departure is not None:
        first = parity.first_departure
        return f"look at operator {first.index}, {first.type} {first.name}: it is the first that departs"
    return "find the first operator that departs: --parity-operators"


def worst(comparison: Comparison | None) -> str:
    """The output that differs most, in words."""
    if comparison is None or not comparison.outputs:
        return "no outputs"
    row = max(comparison.outputs, key=lambda row: (row.departs, _size(row)))
    if isinstance(row.largest_absolute, Unavailable):
        return f"{row.output}: {row.largest_absolute.unavailable}"
    if row.largest_absolute.value == 0 and not row.departs:
        return f"{row.output} is the same"
    steps = " steps" if row.largest_absolute.unit == "step" else ""
    words = f"{row.output} by at most {row.largest_absolute.value:.3g}{steps}"
    if isinstance(row.tolerance, Metric):
        words += f" ({row.tolerance.value:.3g} allowed)"
    if isinstance(row.top1, Metric) and row.top1.value < 1:
        words += f", the same top-1 in {row.top1.value:.0%} of rows"
    return words


def _size(row: Difference) -> float:
    if isinstance(row.largest_absolute, Unavailable) or isinstance(row.tolerance, Unavailable):
        return 0.0
    return row.largest_absolute.value / max(row.tolerance.value, 1e-30)
