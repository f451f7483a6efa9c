"""Numbers with their unit and origin, and numbers that cannot be had."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sandbox.metrics import Metric, Quantity, Unavailable

QUANTITY: TypeAdapter[Quantity] = TypeAdapter(Quantity)
PEAK = Metric(value=41_943_040, unit="byte", mode="emulated", low=40e6, high=42e6, source="massif")


@pytest.mark.parametrize("quantity", [PEAK, Unavailable(unavailable="the guest ended before it was measured")])
def test_survives_json(quantity: Quantity) -> None:
    assert QUANTITY.validate_json(quantity.model_dump_json()) == quantity


def test_json_is_as_published() -> None:
    assert json.loads(PEAK.model_dump_json()) == {
        "value": 41_943_040,
        "unit": "byte",
        "mode": "emulated",
        "low": 40e6,
        "high": 42e6,
        "source": "massif",
    }
    assert json.loads(Unavailable(unavailable="no clock").model_dump_json()) == {"unavailable": "no clock"}


@pytest.mark.parametrize(
    "document",
    [
        {"value": 1.0, "unit": "byte"},
        {"value": 1.0, "mode": "emulated"},
        {"value": 1.0, "unit": "kB", "mode": "emulated"},
        {"value": 1.0, "unit": "byte", "mode": "guessed"},
        {"value": 1.0, "unit": "byte", "mode": "emulated", "median": 1.0},
        {"value": "a lot", "unit": "byte", "mode": "emulated"},
        {"value": None, "unit": "byte", "mode": "emulated"},
        {"value": 1.0, "unit": "byte", "mode": "emulated", "unavailable": "both"},
        {"unavailable": ""},
        {"unavailable": None},
        {},
    ],
)
def test_what_is_neither_a_number_nor_a_reason(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QUANTITY.validate_python(document)


@pytest.mark.parametrize("field", ["value", "low", "high"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_only_finite_numbers(field: str, number: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Metric.model_validate({"value": 1.0, "unit": "second", "mode": "measured", field: number})


def test_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PEAK.value = 0  # type: ignore[misc]
