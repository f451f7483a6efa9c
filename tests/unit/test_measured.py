"""The measured files: every row parses, and what does not is named by line and column."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import DataFileError
from sandbox.measured import parse_measured, read_measured

MEASURED = Path(__file__).parents[2] / "calibration/measured"
HEADER = "device,core,model,dtype,runtime,source_title,source_locator,p50_ms"
ORIGIN = Path("rows.csv")


@pytest.mark.parametrize("path", sorted(MEASURED.glob("*.csv")), ids=lambda path: path.stem)
def test_shipped_rows_are_complete(path: Path) -> None:
    rows = read_measured(path)
    assert all(row.source_locator and row.seconds(("p50_ms", "p90_ms", "mean_ms")) for row in rows)
    assert f"`{path.name}`" in (MEASURED / "README.md").read_text()


def test_the_first_printed_figure_counts() -> None:
    (row,) = parse_measured(f"{HEADER},p90_ms\nb,a72,m,fp32,r,t,l,,12.5\n", ORIGIN)
    assert row.seconds(("p50_ms", "p90_ms")) == pytest.approx(0.0125)
    assert row.seconds(("mean_ms",)) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no rows"),
        (f"{HEADER}\n", "no rows"),
        (f"{HEADER}\nb,a72,m,fp32,r,t,l,-1\n", "line 2: p50_ms"),
        (f"{HEADER}\nb,a72,m,fp32,r,t,l,inf\n", "line 2: p50_ms"),
        (f"{HEADER}\nb,a72,m,fp16,r,t,l,1\n", "line 2: dtype"),
        (f"{HEADER}\nb,a72,m,fp32,r,t,l\n", "line 2: not as many cells"),
        (f"{HEADER}\nb,a72,m,fp32,r,t,l,1,2\n", "line 2: not as many cells"),
        (f"{HEADER},speed\nb,a72,m,fp32,r,t,l,1,2\n", "line 2: speed"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(DataFileError, match=problem):
        parse_measured(text, ORIGIN)


@given(st.text())
def test_any_text_is_rows_or_one_clear_error(text: str) -> None:
    try:
        parse_measured(text, ORIGIN)
    except DataFileError as error:
        assert error.message.startswith("rows.csv")  # noqa: PT017  # most inputs are fine
