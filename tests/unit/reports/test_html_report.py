"""The HTML report: one file that needs nothing else, that says all there is, and in which no name can do anything."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from sandbox.metrics import Metric
from sandbox.reports import html, html_charts
from sandbox.reports.figures import interval_text, value_text
from sandbox.reports.layout import clean
from sandbox.result import Result
from tests.unit.recorded import NAMES, microcontroller, result
from tests.unit.reports.documents import HOSTILE, all_documents, bare, hostile, large, whole

DOCUMENTS = ("whole", "bare", "microcontroller", "hostile", "hostile_microcontroller", *NAMES)
_VOID = {"meta", "br", "input"}


class Page(HTMLParser):
    """The page as a browser would read it, as far as these tests look."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.raw: dict[str, str] = {}
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside in {"style", "script"}:
            self.raw[inside] = self.raw.get(inside, "") + data
        else:
            self.words += f"{data} "

    def values(self, name: str) -> list[str]:
        """Of an attribute, in the order of the page."""
        return [value for _tag, key, value in self.attributes if key == name]


@cache
def page(name: str) -> Page:
    found = Page(html.render(all_documents()[name]))
    assert found.open == []
    return found


def words(name: str) -> str:
    return " ".join(page(name).words.split())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    found = page(name)
    assert not {"link", "img", "iframe", "object", "embed", "base", "form", "image", "use"} & set(found.tags)
    assert {value[0] for value in found.values("href")} == {"#"}
    assert not found.values("src")
    assert not re.search(r"url\(|@import|@font-face", found.raw["style"])
    assert not re.search(r"fetch|XMLHttpRequest|import\(|eval|innerHTML", found.raw["script"])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_policy_allows_the_page_s_own_style_and_script_alone(name: str) -> None:
    found = page(name)
    (policy,) = (value for value in found.values("content") if "default-src" in value)
    digests = {
        kind: f"'sha256-{base64.b64encode(hashlib.sha256(found.raw[kind].encode()).digest()).decode()}'"
        for kind in ("style", "script")
    }
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src {digests['style']}",
        f"script-src {digests['script']}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert found.tags["style"] == found.tags["script"] == 1
    assert not found.values("style"), "the policy forbids them"
    assert not [name for _tag, name, _value in found.attributes if name.startswith("on")]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_table_has_a_caption_and_headings_each_chart_a_text(name: str) -> None:
    found = page(name)
    assert found.tags["caption"] == found.tags["table"] > 0
    assert all(value in {"row", "col"} for value in found.values("scope"))
    images = [value for tag, key, value in found.attributes if tag == "svg" and key == "role"]
    labels = [value for tag, key, value in found.attributes if tag == "svg" and key == "aria-label"]
    assert images == ["img"] * found.tags["svg"]
    assert all(labels)
    assert len(labels) == found.tags["svg"]
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in found.values("href")} <= set(ids)
    assert found.tags["h1"] == 1


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_verdict_and_its_reasons_come_first(name: str) -> None:
    given, text = all_documents()[name], words(name)
    reasons = given.verdict.reasons
    places = [text.index(" ".join(clean(reason).split())) for reason in reasons]
    assert reasons
    assert max(places) < text.index("Every question that was asked")
    for check in given.checks:
        assert " ".join(clean(check.reason).split()) in text
    assert "None" not in text.replace("Nonetheless", "")
    assert "nan" not in text.split()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_is_small(name: str) -> None:
    assert len(html.render(all_documents()[name]).encode()) < 1_000_000


def test_every_number_says_how_it_was_got() -> None:
    given, text = result("calibrated"), words("calibrated")
    for mode, meaning in html.MODES.items():
        assert f"{mode} {meaning}" in text
    mean = given.latency.mean
    assert isinstance(mean, Metric)
    assert mean.source
    assert f"mean {value_text(mean)} {interval_text(mean)} calibrated {mean.source}" in text
    assert "sustained – unavailable because the spec of rpi4b gives no cpu.sustained_clock_hz" in text


def test_versions_and_digests_of_all_that_ran_are_named() -> None:
    given, text = result("calibrated"), words("calibrated")
    used = given.latency.calibration
    assert used is not None
    digests = (given.model.sha256, given.image.digest, given.engine.emulator_digest, used.digest)
    for digest in digests:
        assert digest is not None
        assert re.fullmatch("[0-9a-f]{64}", digest)
        assert digest in text
    for name in (used.id, given.engine.emulator, f"{given.runtime.name} {given.runtime.version}", given.image.title):
        assert name
        assert name in text


def test_what_is_drawn() -> None:
    charts = page("calibrated").values("data-chart")
    assert charts == [
        *("memory", "heap", "libraries", "latency", "calibration"),
        *("by-time", "by-instructions", "by-memory"),
    ]
    assert page("calibrated").tags["svg"] == 2 * len(charts), "each for a desk and for a phone"


def test_what_is_not_known_is_not_drawn() -> None:
    assert page("bare").values("data-chart") == []
    assert "peak memory unavailable because it was not measured" in words("bare")


def test_parts_that_a_result_has_not_vanish() -> None:
    for name in ("ready", "bare"):
        assert not {"compatibility", "changes", "board", "parity"} & set(page(name).values("id"))
    assert {"compatibility", "changes", "parity"} <= set(page("whole").values("id"))
    text = words("whole")
    for part in (
        "Edge TPU: 1 mapped",
        "this build has version 2",
        "asimddp",
        "GLIBC_2.17",
        "2.14.0 yes",
        "departs 0.5",
    ):
        assert part in text


def test_a_microcontroller_has_an_arena_in_place_of_a_heap() -> None:
    ids, text = page("microcontroller").values("id"), words("microcontroller")
    assert "board" in ids
    assert not {"memory", "heap"} & set(ids)
    assert "arena on the device, cmsis-nn: least 166 kB predicted tflite-micro" in text
    assert "flash: model 581 kB" in text
    assert re.search(r"0 CONV_2D, version \d yes [\d.]+ M –", text)


def test_no_text_can_become_markup() -> None:
    """The same tags and attributes as without the hostile texts; those are there to read."""
    plain, found = page("whole"), page("hostile")
    assert found.tags == plain.tags
    assert [(tag, name) for tag, name, _value in found.attributes] == [
        (tag, name) for tag, name, _value in plain.attributes
    ]
    text = html.render(hostile())
    assert "window.owned=1</script>" not in text
    assert not {char for char in text if not char.isprintable()} - {"\n"}
    assert text.count(clean(HOSTILE)) == 0
    assert words("hostile").count(" ".join(clean(HOSTILE).split())) > 100


def test_the_hostile_result_is_hostile_everywhere() -> None:
    given = hostile()
    for text in (given.model.path, given.ops[3].name, given.ops[3].type, given.heap.sites[0].library, given.warnings):
        assert HOSTILE in str(text) or given.warnings == ()
    assert given.memory.phases[1].name.startswith(HOSTILE)


def test_cells_sort_by_numbers_not_by_texts() -> None:
    values = [float(value) for tag, key, value in page("calibrated").attributes if tag == "td" and key == "data-value"]
    times = [op.time.value for op in result("calibrated").ops if isinstance(op.time, Metric)]
    assert set(times) <= set(values)
    assert page("calibrated").values("aria-sort") == ["none"] * 9


def test_operators_have_the_memory_that_the_file_gives_them() -> None:
    given = result("calibrated")
    found = html.memories(given)
    assert len(found) == len(given.ops) == len(given.operator_memory) + 1
    assert found[-1] is None, "what no operator did"
    for op, need, memory in zip(given.ops, given.operator_memory, found, strict=False):
        assert (memory is None) == (op.type != need.type)
        if memory is not None:
            assert isinstance(memory, Metric)
            assert isinstance(need.live, Metric)
            assert isinstance(need.workspace, Metric)
            assert memory.value == need.live.value + need.workspace.value
    fewer = given.model_copy(update={"operator_memory": given.operator_memory[:5]})
    assert html.memories(fewer) == [None] * len(given.ops), "names that are not in the file"


def test_a_limit_within_sight_is_drawn_and_one_beyond_is_told() -> None:
    near, far = html_charts.memory_chart(result("out_of_memory")), html_charts.memory_chart(result("ready"))
    assert near is not None
    assert far is not None
    assert ("limit", "limit, 210 MB") in near.legend
    assert "series limit" in near.chart.wide
    assert "limit" not in {role for role, _name in far.legend}
    assert "The limit, 3.75 GB, is" in far.caption


def test_the_budget_is_drawn_beside_the_interval() -> None:
    drawn = html_charts.latency_chart(result("calibrated"))
    assert drawn is not None
    assert drawn.legend == (("span", "interval"), ("value", "estimate"), ("limit", "budget, 60.0 ms"))
    assert html_charts.latency_chart(bare()) is None
    assert html_charts.calibration_chart(result("ready")) is None


def test_the_plot_of_the_calibration_has_a_dot_for_each_row() -> None:
    given = result("calibrated")
    drawn = html_charts.calibration_chart(given)
    used = given.latency.calibration
    assert drawn is not None
    assert used is not None
    assert len(used.rows) == 32
    for drawing in (drawn.chart.wide, drawn.chart.narrow):
        groups = [node for node in ET.fromstring(drawing).iter() if node.get("class") == "series row"]
        dots = [node for group in groups for node in group.iter() if node.tag.endswith("circle")]
        titles = [node.text or "" for group in groups for node in group.iter() if node.tag.endswith("title")]
        assert len(dots) == len(used.rows)
        assert [title.partition(":")[0] for title in titles] == [row.model for row in used.rows]


def seconds(operators: int) -> float:
    given = large(operators)
    started = time.process_time()
    text = html.render(given)
    assert f"layer_{operators - 1}/" in text
    return time.process_time() - started


def test_two_thousand_operators_take_no_second() -> None:
    """By the processor's clock, with room for a slow machine: on a fast one it is 0.3 s."""
    html.render(large(10))  # imports, and templates once compiled
    assert min(seconds(2000) for _ in range(2)) < 3


@pytest.mark.parametrize("given", [whole(), microcontroller()], ids=["whole", "microcontroller"])
def test_the_same_result_gives_the_same_page(given: Result) -> None:
    assert html.render(given) == html.render(given)
