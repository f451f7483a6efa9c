"""docs/calibration.md says what the command prints."""

from __future__ import annotations

from tests.calibration_docs import PAGE, renewed


def test_the_table_is_today_s() -> None:
    assert renewed() == PAGE.read_text(encoding="utf-8"), "run python -m tests.calibration_docs"


def test_the_page_is_linked_from_the_picture_beside_it() -> None:
    assert "(calibration.svg)" in PAGE.read_text(encoding="utf-8")
    assert (PAGE.parent / "calibration.svg").is_file()
