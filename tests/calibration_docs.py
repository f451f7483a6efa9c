"""docs/calibration.md and its plot: ``python -m tests.calibration_docs`` makes the tables and the picture again."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.fit_files import error_table
from sandbox.transfers import transfer_table

from . import calibration_plot

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "calibration.md"
_TABLES = {
    error_table: re.compile(r"(?:^\| calibration \|.*\n)(?:^\|.*\n)+", re.MULTILINE),
    transfer_table: re.compile(r"(?:^\| transfer, .*\n)(?:^\|.*\n)+", re.MULTILINE),
}


def renewed() -> str:
    """The page with the tables of today's calibrations."""
    page = PAGE.read_text(encoding="utf-8")
    for make, place in _TABLES.items():
        table = "\n".join(make(PROJECT / "calibration", PROJECT / "device_specs")) + "\n"
        page, found = place.subn(lambda _found, table=table: table, page, count=1)  # type: ignore[misc]
        assert found == 1, f"no table of {make.__name__} in {PAGE}"
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(), encoding="utf-8")
    calibration_plot.main()
