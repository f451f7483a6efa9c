"""docs/calibration.md and its plot: ``python -m tests.calibration_docs`` makes the table and the picture again."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.fit_files import error_table

from . import calibration_plot

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "calibration.md"
_TABLE = re.compile(r"(?:^\| calibration \|.*\n)(?:^\|.*\n)+", re.MULTILINE)


def renewed() -> str:
    """The page with the table of today's calibrations."""
    table = "\n".join(error_table(PROJECT / "calibration", PROJECT / "device_specs")) + "\n"
    return _TABLE.sub(lambda _found: table, PAGE.read_text(encoding="utf-8"), count=1)


if __name__ == "__main__":
    PAGE.write_text(renewed(), encoding="utf-8")
    calibration_plot.main()
