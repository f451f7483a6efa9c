"""The report for pull requests: recorded runs to the letter, short, and no text formats, links or pings."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sandbox.reports import markdown
from sandbox.reports.layout import clean
from tests import renew
from tests.unit.recorded import NAMES, microcontroller, result
from tests.unit.reports.documents import HOSTILE, all_documents, hostile, whole

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = {"h3", "p", "ul", "li", "strong", "table", "thead", "tbody", "tr", "th", "td", "code"}
RAW = {"details", "summary", "sub"}
"""HTML that the report itself holds."""


class Tags(HTMLParser):
    """Tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _value in attrs} <= {"style"}

    def handle_data(self, data: str) -> None:
        self.words += data


def read(text: str) -> Tags:
    return Tags(READER.render(text))


@pytest.mark.parametrize("name", NAMES)
def test_to_the_letter(name: str) -> None:
    expected = (renew.REPORTS / f"{name}.md").read_text(encoding="utf-8")
    assert markdown.render(result(name)) == expected, "if this is what you want, run python -m tests.renew"


@pytest.mark.parametrize("name", ["whole", "bare", "microcontroller", "hostile", "hostile_microcontroller", *NAMES])
def test_every_result_is_a_comment(name: str) -> None:
    given_result = all_documents()[name]
    text = markdown.render(given_result)
    assert len(text) < 65_536, "the longest comment that GitHub takes"
    found = read(text)
    assert found.tags <= OURS | RAW
    assert given_result.verdict.status.replace("_", " ").upper() in text.splitlines()[0]
    for line in text.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) in {4, 5}, line


def test_no_text_formats_links_or_pings() -> None:
    text = markdown.render(hostile())
    plain, found = read(markdown.render(whole())), read(text)
    assert found.tags == plain.tags
    assert clean(HOSTILE)[:40] in found.words
    outside_code = re.sub(r"(`+).+?\1(?!`)", "", text)
    assert not re.search(r"@\w|https?://|www\.\w|(?<![&\w])#\d", outside_code)
    assert "<script" not in outside_code


TEXTS = st.text(alphabet=st.sampled_from("ab1 `|\\*_~[]()<>&@#!:/.-+=\n\t\x00$"), max_size=40) | st.text(max_size=20)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_reads_back_as_itself(text: str) -> None:
    """In a table, where pipes matter, as the reports use it."""
    table = f"| a | b |\n| --- | --- |\n| x{markdown.escaped(text)} | {markdown.code(text)} |\n"
    found = read(table)
    assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    rows = READER.render(table).split("<td>")
    plain = Tags(rows[1].partition("</td>")[0]).words.replace("\u200b", "")
    assert plain == "x" + clean(text).strip() or plain.split() == ("x" + clean(text).strip()).split()
    code = Tags(rows[2].partition("</td>")[0]).words
    assert code.split() == (clean(text) or " ").split()


def test_changes_since_a_baseline_are_on_top() -> None:
    text = markdown.render(whole())
    assert re.search(r"^\| latency \| ([\d.]+ ms) \| \1 \| ✅ \+0.0%, 5.0% allowed \|$", text, re.MULTILINE)
    assert text.index("Against the result of 2026-11-21") < text.index("| available |")


def test_a_microcontroller_s_numbers() -> None:
    text = markdown.render(microcontroller())
    assert "| arena | 166 kB | predicted |" in text
    assert "| flash | 684 kB | 643 kB to 725 kB, predicted |" in text
    assert "peak memory" not in text


def test_the_static_check_has_one_too() -> None:
    text = markdown.render(renew.example_check())
    assert text.startswith("### ✅ READY: `mobilenet_v1_0.25_128_int8.tflite` on Raspberry Pi 4 Model B")
    assert "by the file alone: nothing was run" in text
    assert "| peak memory | " in text


def test_checks_that_passed_are_one_line() -> None:
    assert "✅ memory, cpu, abi, operators, run\n" in markdown.render(result("ready"))
