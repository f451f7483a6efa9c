"""Charts as SVG, drawn by pygal: no script, no style, no id of their own. The page's stylesheet colours them by role,
so that they follow its theme, and each comes in two widths, so that its letters are as large on a phone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from markupsafe import Markup

from .layout import clean

_WIDE, _NARROW = 960, 340
_LETTER = 14
_DROPPED = {"comment", "defs", "desc", "script", "style", "title"}
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart, drawn for a desk and for a phone; the page shows one of the two."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points that belong together."""

    name: str
    role: str
    """The class by which the stylesheet knows it."""
    points: Sequence[tuple[float, float]]
    line: bool = True
    dots: bool = False
    fill: bool = False
    labels: Sequence[str] = ()
    """What each dot is, shown under the pointer."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar and what it says under the pointer."""

    label: str
    value: float
    text: str


def points_chart(
    series: Sequence[Series],
    *,
    label: str,
    x_format: Callable[[float], str],
    y_format: Callable[[float], str],
    height: int = 260,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    x_ticks: Sequence[float] = (),
    y_labels: Sequence[tuple[float, str]] = (),
    logarithmic: bool = False,
    x_title: str | None = None,
    y_title: str | None = None,
) -> Chart:
    """Lines and dots over two axes. ``label``: what the chart shows, for those who cannot see it."""
    pygal = _pygal()

    def draw(width: int) -> Markup:
        chart = pygal.XY(
            **_look(width, height),
            xrange=x_range,
            range=y_range,
            logarithmic=logarithmic,
            x_value_formatter=x_format,
            value_formatter=y_format,
            x_title=x_title,
            y_title=y_title,
            max_scale=8 if width == _WIDE else 4,
            min_scale=3,
        )
        if x_ticks:
            chart.x_labels = [*x_ticks] if width == _WIDE else [*x_ticks[:: max(1, len(x_ticks) // 4)]]
        if y_labels:
            chart.y_labels = [{"value": value, "label": clean(name)} for value, name in y_labels]
        for each in series:
            values: list[Any] = [
                {"value": point, "label": clean(each.labels[place]) if each.labels else ""}
                for place, point in enumerate(each.points)
            ]
            chart.add(clean(each.name), values, stroke=each.line, show_dots=each.dots, fill=each.fill)
        return _drawn(chart, [each.role for each in series], label)

    return Chart(wide=draw(_WIDE), narrow=draw(_NARROW))


def bars_chart(bars: Sequence[Bar], *, label: str, role: str, value_format: Callable[[float], str]) -> Chart:
    """Horizontal bars, the first on top. ``label``: what the chart shows, for those who cannot see it."""
    pygal = _pygal()

    def draw(width: int) -> Markup:
        room = 44 if width == _WIDE else 16
        chart = pygal.HorizontalBar(
            **_look(width, 52 + 22 * len(bars)),
            value_formatter=value_format,
            max_scale=8 if width == _WIDE else 3,
            min_scale=2,
        )
        chart.x_labels = [shortened(clean(bar.label), room) for bar in reversed(bars)]
        chart.add("", [{"value": bar.value, "formatter": _said(bar)} for bar in reversed(bars)])
        return _drawn(chart, [role], label)

    return Chart(wide=draw(_WIDE), narrow=draw(_NARROW))


def shortened(text: str, room: int) -> str:
    """Both ends of a text that is too long: names of operators differ at their end."""
    return text if len(text) <= room else f"{text[: room // 2 - 1]}…{text[-(room - room // 2) :]}"


def _pygal() -> Any:
    """The library without the import hook that it leaves behind: Python 3.11 warns of its kind at every import."""
    import pygal  # noqa: PLC0415

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return pygal


def _said(bar: Bar) -> Callable[[float], str]:
    return lambda _value: f"{clean(bar.label)}: {clean(bar.text)}"


def _look(width: int, height: int) -> dict[str, Any]:
    from pygal.style import Style  # noqa: PLC0415

    # The sizes are for pygal's own reckoning of room; what is drawn takes its look from the page's stylesheet.
    style = Style(label_font_size=_LETTER, major_label_font_size=_LETTER, title_font_size=_LETTER)
    return {
        "style": style,
        "width": width,
        "height": height,
        "margin": 4,
        "margin_right": 20,  # half of the last label
        "spacing": 6,
        "show_legend": False,
        "js": [],
        "css": [],
        "no_prefix": True,
        "disable_xml_declaration": True,
        "dots_size": 4,
        "truncate_label": -1,
    }


def _drawn(chart: Any, roles: Sequence[str], label: str) -> Markup:
    root = ET.fromstring(chart.render())  # noqa: S314  # pygal's own output
    _tidy(root)
    for node in root.iter():
        words = node.get("class", "").split()
        if "series" in words:
            place = next(int(word.removeprefix("serie-")) for word in words if word.startswith("serie-"))
            node.set("class", f"series {roles[place]}")
    for name in ("id", "class"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", clean(label))
    ET.register_namespace("", _SVG[1:-1])
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  # every text in it was escaped


def _tidy(node: ET.Element) -> None:
    """Take out what needs pygal's script, and make its descriptions of values into the browser's own tooltips."""
    said = next((child.text for child in node if child.tag == f"{_SVG}desc" and child.get("class") == "value"), None)
    name = next((child.text for child in node if child.tag == f"{_SVG}desc" and child.get("class") == "label"), None)
    for child in list(node):
        kind = child.tag.removeprefix(_SVG) if isinstance(child.tag, str) else "comment"
        if kind in _DROPPED or "tooltip-overlay" in child.get("class", ""):
            node.remove(child)
        else:
            _tidy(child)
    if said or name:
        title = ET.SubElement(node, f"{_SVG}title")
        title.text = ": ".join(part for part in (name, said) if part)
