"""What follows from cells: the cheapest that fits, the front, the rows."""

from __future__ import annotations

import json

import jsonschema
import pandas as pd
import pytest

from sandbox.comparison import (
    Cell,
    Comparison,
    build_matrix,
    cheapest,
    comparison,
    operator_matrix,
    pareto,
    rows,
    schema,
    title,
)
from sandbox.metrics import Metric
from sandbox.result import Tool
from tests import renew
from tests.unit.comparisons import cell, every_kind, hardware
from tests.unit.reports import documents


def timed(number: int, seconds: float, peak: float, name: str = "ready") -> Cell:
    """A cell with that latency and peak."""
    plain = cell(number, name)
    assert plain.result is not None
    latency = plain.result.latency.model_copy(
        update={"mean": Metric(value=seconds, unit="second", mode="calibrated", low=seconds * 0.9, high=seconds * 1.1)}
    )
    memory = plain.result.memory.model_copy(update={"peak_rss": Metric(value=peak, unit="byte", mode="emulated")})
    return plain.model_copy(update={"result": plain.result.model_copy(update={"latency": latency, "memory": memory})})


def test_the_cheapest_goes_by_price_where_all_are_known() -> None:
    small_but_dear = cell(1, hardware=hardware(2**29, price=90.0))
    found = cheapest([small_but_dear, cell(2, hardware=hardware(price=40.0)), cell(3, hardware=hardware(price=60.0))])
    assert (found.number, found.by) == (2, "price")
    assert found.reason == "40 USD; list prices of 2024-01"


def test_else_by_hardware_and_says_so() -> None:
    large, small, slow = hardware(2**33), hardware(2**29, price=90.0), hardware(2**29, clock_hz=10**8)
    found = cheapest([cell(1, hardware=large), cell(2, hardware=small), cell(3, hardware=slow)])
    assert (found.number, found.by) == (3, "hardware")
    assert "not every device's price is known" in found.reason
    mixed = [cell(1, hardware=hardware(price=40.0)), cell(2, hardware=hardware(price=50.0, currency="EUR"))]
    assert "several currencies" in cheapest(mixed).reason


def test_what_does_not_fit_is_never_the_cheapest() -> None:
    found = cheapest([cell(1, "out_of_memory", hardware=hardware(2**20, price=1.0)), cell(2), cell(3, None)])
    assert found.number == 2
    assert cheapest([cell(1, "out_of_memory")]).number is None


def test_the_front_holds_what_no_other_beats() -> None:
    cells = [timed(1, 0.010, 90e6), timed(2, 0.020, 50e6), timed(3, 0.020, 60e6), timed(4, 0.030, 50e6)]
    assert pareto(cells) == (1, 2)
    assert pareto([timed(1, 0.01, 1e6), timed(2, 0.01, 1e6)]) == (1, 2), "equals beat nobody"


def test_times_without_a_calibration_are_on_no_front() -> None:
    emulated = cell(1)
    assert emulated.result is not None
    assert isinstance(emulated.result.latency.mean, Metric) is False or emulated.latency is None
    assert pareto([emulated, cell(2, "out_of_memory")]) == ()


def test_what_varies_is_what_names_a_cell() -> None:
    two = comparison(Tool(version="1"), [cell(1), cell(2, threads=4)])
    assert two.varied == ("threads",)
    assert [title(two, each) for each in two.cells] == ["1 thread", "4 threads"]
    assert comparison(Tool(version="1"), [cell(1)]).varied == ("device",)


def test_the_matrix_shows_the_worst_of_each_operator() -> None:
    cells = [cell(1), cell(2, "missing_operator"), cell(3, None)]
    matrix = operator_matrix(cells)
    assert matrix["CONV_2D"] == ("native", None, None)
    assert matrix["FlexRFFT"] == (None, "missing", None)
    assert "(outside operators)" not in matrix


def test_the_matrix_of_builds_is_by_run_and_by_file() -> None:
    matrix = build_matrix([cell(1), cell(2, "illegal_instruction"), cell(3, "out_of_memory"), cell(4, None)])
    assert matrix["CPU instructions"] == ("pass", "fail", "unknown", None)
    assert matrix["binary interface (ABI)"] == ("pass", "unknown", "unknown", None)
    assert "wheel of the runtime" not in matrix, "these runs were recorded without it"
    examined = cell(1, result=documents.whole())
    assert build_matrix([examined])["wheel of the runtime"] == ("pass",)
    assert build_matrix([cell(1, None)]) == {}


def test_rows_are_plain_numbers_and_a_frame() -> None:
    document = every_kind()
    table = rows(document)
    assert [line["number"] for line in table] == list(range(1, len(document.cells) + 1))
    ready, failed = table[0], table[-1]
    assert (ready["verdict"], ready["peak_bytes"]) == ("ready", document.cells[0].peak and document.cells[0].peak.value)
    assert (failed["verdict"], failed["peak_bytes"], failed["latency_seconds"]) == ("unknown", None, None)
    frame = document.frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == [line["number"] for line in table]
    assert pd.isna(frame["peak_bytes"].iloc[-1])
    assert frame["cheapest"].sum() == 1


def test_the_document_is_as_its_schema_says() -> None:
    document = every_kind()
    jsonschema.validate(json.loads(document.model_dump_json()), schema())
    assert Comparison.model_validate_json(document.model_dump_json()) == document
    published = renew.COMPARE_SCHEMA.read_text(encoding="utf-8")
    assert published == renew.made()[renew.COMPARE_SCHEMA], "run python -m tests.renew"


@pytest.mark.parametrize("name", ["ready", "out_of_memory"])
def test_fits_is_the_verdict(name: str) -> None:
    assert cell(1, name).fits == (name == "ready")
