"""A comparison in every format, with names that would like to be more than text."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser

import pytest

from sandbox.reports import compare_csv, compare_html, compare_markdown, compare_terminal
from sandbox.reports import json as as_json
from tests.unit.comparisons import HOSTILE, cell, every_kind


class Page(HTMLParser):
    """Tags, ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"<{tag} {name}> runs a script"
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")


def test_the_terminal_has_80_columns_and_no_escapes() -> None:
    text = compare_terminal.render(every_kind())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    for words in ("CHEAPEST THAT FITS", "WHY NOT", "NOT RUN", "MISSING OPERATORS", "FlexRFFT", "take another version"):
        assert words in text
    assert "\x1b[" in compare_terminal.render(every_kind(), colour=True)


def test_few_axes_are_columns() -> None:
    document = every_kind()
    two = document.model_copy(update={"cells": (cell(1), cell(2, device="rpi-zero-2w")), "varied": ("device",)})
    head = next(line for line in compare_terminal.render(two).splitlines() if "verdict" in line)
    assert head.split()[:2] == ["device", "latency"]


def test_csv_reads_back() -> None:
    document = every_kind()
    table = list(csv.DictReader(io.StringIO(compare_csv.render(document))))
    assert [line["model"] for line in table[:-1]] == [each.model for each in document.cells[:-1]]
    assert table[-1]["peak_bytes"] == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (" =1+1", "' =1+1"),
        ("＝1+1", "'＝1+1"),  # a spreadsheet in Japanese takes it, too
        ("-2", "'-2"),
        ("\t=1", "\\x09=1"),
        ("a\x1b[2J\x9b1m\u202e", "a\\x1b[2J\\x9b1m\\x202e"),
    ],
)
def test_csv_gives_neither_a_spreadsheet_nor_a_terminal_anything_to_run(name: str, shown: str) -> None:
    document = every_kind().model_copy(update={"cells": (cell(1, model=name),)})
    text = compare_csv.render(document)
    assert next(csv.DictReader(io.StringIO(text)))["model"] == shown


def test_csv_gives_a_spreadsheet_no_formula() -> None:
    document = every_kind()
    formula = document.model_copy(update={"cells": (cell(1, model='=HYPERLINK("x")'),)})
    assert next(csv.DictReader(io.StringIO(compare_csv.render(formula))))["model"] == '\'=HYPERLINK("x")'


def test_markdown_keeps_names_text() -> None:
    text = compare_markdown.render(every_kind())
    (line,) = (line for line in text.splitlines() if line.startswith("| 7 |"))
    assert "<img" not in text.replace("\\<", "")
    assert "\\[x\\]" in line
    assert line.replace("\\|", "").count("|") == text.splitlines()[0].count("|")


def test_the_page_escapes_names_and_leads_to_every_cell() -> None:
    document = every_kind()
    text = compare_html.render(document)
    page = Page(text)
    assert "img" not in page.tags
    assert HOSTILE not in text
    assert "\x1b" not in text
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link.startswith("#")
        assert link.removeprefix("#") in page.ids
    assert {f"cell-{each.number}" for each in document.cells} <= set(page.ids)
    assert "http://" not in text.replace("http://www.w3.org/", "")
    assert page.tags.count("script") == 1


def test_the_page_shows_work_where_no_cell_has_a_time() -> None:
    document = every_kind()
    untimed = document.model_copy(update={"cells": (cell(1), cell(2, threads=2)), "pareto": ()})
    text = compare_html.render(untimed)
    assert "compare instructions on the same core only" in text
    assert 'data-chart="front"' in text


def test_json_is_the_document() -> None:
    assert json.loads(as_json.render(every_kind()))["cells"][0]["number"] == 1


@pytest.mark.parametrize("fits", [True, False])
def test_none_fits_is_said(fits: bool) -> None:
    from sandbox.comparison import comparison  # noqa: PLC0415
    from sandbox.result import Tool  # noqa: PLC0415

    document = comparison(Tool(version="1"), [cell(1, "ready" if fits else "out_of_memory")])
    for text in (compare_terminal.render(document), compare_html.render(document), compare_markdown.render(document)):
        assert ("one fits" in text or "No way to run it fits" in text) == (not fits)
