"""Fits: known numbers come back, left-out errors are of fits that did not see them, nonsense is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import fit, lines
from sandbox.calibration import Slots
from sandbox.device import load_device
from sandbox.errors import DataFileError
from sandbox.fit import FitInput, FitPlan
from sandbox.lines import Point
from sandbox.measured import MeasuredRow
from sandbox.model_counts import CountSet, ModelCounts

PROJECT = Path(__file__).parents[2]
SLOTS = Slots(multiply=1.0, vector=1.0, memory=2.0, other=0.25)
SLOT, BYTE = 0.5e-9, 0.1e-9
MODELS = [f"mobilenet_v{v}_{w}_224" for v in (1, 2, 3) for w in ("0.25", "0.5", "1.0")]


def counted(model: str, size: int) -> ModelCounts:
    return ModelCounts.model_validate(
        {
            "model": model,
            "dtype": "fp32",
            "instructions": 20 * size,
            "critical_path": 20 * size,
            "weights_bytes": 3 * size + 10**6 * len(model),
            "operators": 30,
            "classes": {"vector_fma": 10 * size, "vector_load": 3 * size, "integer": 7 * size},
        }
    )


def counts(threads: int = 1) -> CountSet:
    return CountSet(
        id="some-counts",
        device="rpi4b",
        os="bookworm-arm64",
        emulated_cpu="cortex-a72",
        runtime="tflite-runtime",
        runtime_version="2.14.0",
        delegates=True,
        threads=threads,
        emulator="qemu",
        models=tuple(counted(model, 10**6 * (7 + 5 * place)) for place, model in enumerate(MODELS)),
    )


def row(model: str, milliseconds: float, **changes: Any) -> MeasuredRow:
    base: dict[str, Any] = {
        "device": "board",
        "core": "Cortex-A72",
        "model": model,
        "dtype": "fp32",
        "runtime": "TFLite",
        "source_title": "a source",
        "source_locator": "a page",
        "p50_ms": milliseconds,
    }
    return MeasuredRow.model_validate(base | changes)


def rows(factor: float = 1.0) -> tuple[MeasuredRow, ...]:
    """Times that follow exactly from the counts."""
    found = []
    for model in MODELS:
        of = counts().find(model, "fp32")
        assert of is not None
        seconds = SLOTS.of(of.classes) * SLOT + of.weights_bytes * BYTE
        found.append(row(model, seconds * 1e3 * factor))
    return tuple(found)


PLAN = FitPlan.model_validate(
    {
        "id": "rpi4b/some-build",
        "group": "g",
        "counts": "some-counts",
        "measured": "some.csv",
        "library": "xnnpack",
        "slots": [SLOTS],
        "dtypes": ["fp32"],
        "threads": 1,
        "where": {"device": ["board"]},
    }
)


def given_rows(measured: tuple[MeasuredRow, ...]) -> FitInput:
    device = load_device("rpi4b", PROJECT / "device_specs")
    return FitInput(plan=PLAN, device=device, counts=counts(), rows=measured, digests=("a" * 64, "b" * 64))


def test_exact_times_give_the_numbers_that_made_them() -> None:
    made = fit.calibrate(given_rows(rows()), [given_rows(rows())])
    assert made.cycles_per_slot == pytest.approx(SLOT * 1.5e9, rel=1e-4)
    assert made.seconds_per_weight_byte == pytest.approx(BYTE, rel=1e-4)
    assert made.evidence is not None
    assert made.evidence.leave_one_family_out is not None
    assert made.evidence.leave_one_family_out.worst < 1e-6
    assert made.evidence.interval_coverage is not None
    assert (made.core, made.threads, made.architecture, made.tail) == ("cortex-a72", 1, "arm64", None)


def test_the_same_input_gives_the_same_bytes() -> None:
    texts = {fit.render_calibration(fit.calibrate(given_rows(rows()), [given_rows(rows())])) for _ in range(3)}
    assert len(texts) == 1


def test_a_left_out_family_is_predicted_by_the_others() -> None:
    noisy = tuple(
        each.model_copy(update={"p50_ms": (each.p50_ms or 0) * (1.2 if "v3" in each.model else 1.0)}) for each in rows()
    )
    made = fit.calibrate(given_rows(noisy), [given_rows(noisy)])
    assert made.evidence is not None
    assert made.evidence.leave_one_family_out is not None
    assert made.evidence.leave_one_family_out.worst >= 1 - 1 / 1.2 - 1e-4
    assert math.expm1(made.interval) > 0.05


def test_the_95th_percentile_is_the_median_ratio() -> None:
    measured = tuple(each.model_copy(update={"p95_ms": (each.p50_ms or 0) * 1.1}) for each in rows())
    assert fit.calibrate(given_rows(measured), [given_rows(measured)]).tail == pytest.approx(1.1)


def test_a_95th_percentile_that_other_programs_made_is_none() -> None:
    measured = tuple(each.model_copy(update={"p95_ms": (each.p50_ms or 0) * 23}) for each in rows())
    assert fit.calibrate(given_rows(measured), [given_rows(measured)]).tail is None


@pytest.mark.parametrize("milliseconds", [math.inf, -5.0, 0.0])
def test_a_time_that_is_none_is_refused(milliseconds: float) -> None:
    with pytest.raises(ValueError, match="p50_ms"):
        row(MODELS[0], milliseconds)


def test_an_infinite_ratio_is_refused() -> None:
    tiny = tuple(each.model_copy(update={"p50_ms": 5e-324}) for each in rows())
    with pytest.raises(DataFileError, match="no finite number"):
        fit.calibrate(given_rows(tiny), [given_rows(tiny)])


def test_counts_that_do_not_say_what_operators_move_are_refused() -> None:
    plan = PLAN.model_copy(update={"terms": ("im2col_byte",)})
    with pytest.raises(DataFileError, match=r"does not say how much im2col_byte there is") as caught:
        fit.points(plan, rows(), counts(), SLOTS)
    assert caught.value.hint == "edge-sandbox calibration count --again"


def test_too_few_models_are_refused() -> None:
    with pytest.raises(DataFileError, match="2 models for 2 numbers"):
        fit.calibrate(given_rows(rows()[:2]), [given_rows(rows()[:2])])


def test_mixed_threads_are_refused() -> None:
    mixed = (*rows(), row(MODELS[0], 5.0, threads=4))
    with pytest.raises(DataFileError, match="rows of 4 threads among those of 1"):
        fit.points(PLAN, mixed, counts(), SLOTS)


def test_counts_of_several_threads_are_refused_for_rows_of_one() -> None:
    with pytest.raises(DataFileError, match="counted with 2 threads"):
        fit.points(PLAN, rows(), counts(threads=2), SLOTS)


def test_a_negative_ratio_is_refused() -> None:
    points = [
        Point(model=f"m{n}", dtype="fp32", seconds=1.0, slots=-1.0, amounts={"weight_byte": n}, instructions=1)
        for n in range(4)
    ]
    with pytest.raises(DataFileError, match="seconds a slot"):
        lines.solve(points, "x", ["weight_byte"])


@pytest.mark.parametrize("text", ["fit = 3\n", "[fit]\nid = 3\n", "fit = [3]\n", "[[fit\n"])
def test_a_plan_file_of_another_shape_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fits.toml"
    path.write_text(text)
    with pytest.raises(DataFileError, match=r"fits\.toml: "):
        fit.load_fit_plans(path)


def test_a_plan_file_names_the_wrong_key(tmp_path: Path) -> None:
    path = tmp_path / "fits.toml"
    path.write_text('[[fit]]\nid = "a/b"\nspeed = 3\n')
    with pytest.raises(DataFileError, match=r"fits\.toml"):
        fit.load_fit_plans(path)


@given(st.floats(0.1, 10), st.integers(1, 10**9), st.integers(1, 10**8), st.floats(0.01, 5))
def test_solving_never_gives_a_negative_time(scale: float, slots: int, weights: int, skew: float) -> None:
    points = [
        Point(
            model=f"m{n}",
            dtype="fp32",
            seconds=scale * (1 + skew * (n % 3)) * 1e-3,
            slots=slots * (n + 1),
            amounts={"weight_byte": weights * (1 + n * n % 5)},
            instructions=slots,
        )
        for n in range(5)
    ]
    line = lines.solve(points, "x", ["weight_byte"])
    assert line.slot > 0
    assert line.costs.get("weight_byte", 0.0) >= 0


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("mobilenet_v2_1.0_224", "mobilenet_v2"),
        ("mobilenet_v3_small_minimalistic_1.0_224", "mobilenet_v3"),
        ("efficientnet_lite3", "efficientnet_lite"),
        ("resnet50_v1.5", "resnet"),
        ("my own model", "my own model"),
    ],
)
def test_families(model: str, family: str) -> None:
    assert lines.family(model) == family
