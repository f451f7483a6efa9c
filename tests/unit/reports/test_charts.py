"""Charts: two widths, no look of their own, texts escaped, the largest bar on top."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import pytest

from sandbox.reports.charts import Bar, Chart, Series, bars_chart, points_chart, shortened
from sandbox.reports.layout import clean
from tests.unit.reports.documents import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def bars(*texts: str) -> Chart:
    return bars_chart(
        [Bar(label=text, value=10.0 - place, text=f"{10 - place} things") for place, text in enumerate(texts)],
        label="Things",
        role="phase-1",
        value_format=lambda value: f"{value:g}",
    )


def points(*, logarithmic: bool = False) -> Chart:
    line = Series(name="line", role="limit", points=[(1, 1), (10, 10)])
    dots = Series(name="dots", role="row", points=[(2, 3), (4, 5)], line=False, dots=True, labels=["a", "b"])
    return points_chart(
        [line, dots], label="Two series", x_format=str, y_format=str, logarithmic=logarithmic, x_title="x"
    )


@pytest.mark.parametrize("chart", [bars("a", "b"), points(), points(logarithmic=True)], ids=["bars", "lines", "log"])
def test_no_script_no_style_no_name_of_its_own(chart: Chart) -> None:
    for drawing, width in ((chart.wide, "960"), (chart.narrow, "340")):
        root = ET.fromstring(drawing)
        assert root.tag == f"{SVG}svg"
        assert (root.get("viewBox") or "").split()[2] == width
        assert root.get("role") == "img"
        nodes = list(root.iter())
        assert {node.tag.removeprefix(SVG) for node in nodes} <= {"svg", "g", "rect", "path", "text", "circle", "title"}
        assert not [node for node in nodes if set(node.attrib) & {"id", "style", "href", "onclick"}]
        assert "pygal" not in drawing.lower()


def test_series_are_known_by_their_roles() -> None:
    found = {node.get("class") for node in ET.fromstring(points().wide).iter()}
    assert {"series limit", "series row"} <= found
    assert not [name for name in found if name and "color-" in name]


def test_dots_say_what_they_are() -> None:
    titles = [node.text for node in ET.fromstring(points().wide).iter(f"{SVG}title")]
    assert titles == ["a: 2: 3", "b: 4: 5"]


def test_the_first_bar_is_on_top_and_the_longest() -> None:
    root = ET.fromstring(bars("first", "second", "third").wide)
    rows = [node for node in root.iter(f"{SVG}rect") if "rect" in (node.get("class") or "")]
    by_height = sorted(rows, key=lambda node: float(node.get("y") or 0))
    widths = [float(node.get("width") or 0) for node in by_height]
    assert widths == sorted(widths, reverse=True)
    assert len(widths) == 3
    titles = sorted(node.text or "" for node in root.iter(f"{SVG}title"))
    assert titles == ["first: 10 things", "second: 9 things", "third: 8 things"]


def test_texts_stay_texts() -> None:
    chart = bars(HOSTILE, "b")
    for drawing in (chart.wide, chart.narrow):
        assert "<script" not in drawing
        assert "<img" not in drawing
        assert "\x00" not in drawing
        titles = [node.text or "" for node in ET.fromstring(drawing).iter(f"{SVG}title")]
        assert f"{clean(HOSTILE)}: 10 things" in titles


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [("short", 10, "short"), ("block_1/layer_2/conv", 10, "bloc…/conv"), ("x" * 11, 10, "xxxx…xxxxx"), ("", 4, "")],
)
def test_a_long_text_keeps_both_ends(text: str, room: int, expected: str) -> None:
    assert shortened(text, room) == expected
    assert len(shortened(text, room)) <= room


def test_the_library_s_import_hook_does_not_stay() -> None:
    bars("a", "b")
    assert "pygal" in sys.modules
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == "pygal"]
