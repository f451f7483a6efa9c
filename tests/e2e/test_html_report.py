"""The HTML report in a real browser: as `edge-sandbox report` writes it, and with texts that try to break out of it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from sandbox.reports import html
from tests.browser import DESK, PHONE, Opened, opened
from tests.record_runs import RECORDINGS, RUNS
from tests.unit.recorded import microcontroller
from tests.unit.reports.documents import bare, hostile, hostile_microcontroller, whole

from .cli import edge_sandbox

pytestmark = [pytest.mark.browser, pytest.mark.subprocess, pytest.mark.timeout(300)]

MADE = {"whole": whole, "bare": bare, "microcontroller": microcontroller, "hostile": hostile}
MADE["hostile_microcontroller"] = hostile_microcontroller


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@functools.cache
def written(name: str, folder: Path) -> Path:
    """The report's file: of a recorded run by the command."""
    path = folder / f"{name}.html"
    if name in MADE:
        path.write_text(html.render(MADE[name]()), encoding="utf-8")
    else:
        done = edge_sandbox("report", RUNS / name, "--format", "html", "--output", path)
        assert done.returncode == RECORDINGS[name].exit_code, done.stderr
        assert done.stdout == done.stderr == ""
    return path


@pytest.mark.parametrize("name", [*RECORDINGS, *MADE])
def test_no_error_no_network_no_injection_and_room_for_a_phone(chromium: Browser, folder: Path, name: str) -> None:
    found = opened(chromium, written(name, folder))
    for width in (DESK, PHONE):
        found.page.set_viewport_size({"width": width, "height": 800})
        assert found.overflow() <= 0, f"at {width} pixels"
        assert found.page.locator(".verdict h2").is_visible()
    assert found.faults() == []
    found.page.context.close()


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [
        ("whole", "light", DESK),
        ("whole", "dark", PHONE),
        ("missing_operator", "dark", DESK),
        ("bare", "light", PHONE),
        ("microcontroller", "light", DESK),
    ],
)
def test_axe_finds_no_serious_fault(
    chromium: Browser, folder: Path, name: str, scheme: Literal["light", "dark"], width: int
) -> None:
    found = opened(chromium, written(name, folder), scheme=scheme, width=width)
    assert found.serious_faults() == []
    found.page.context.close()


def test_axe_does_find_faults(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><html><title>x</title><body><button></button><img src='data:,'></body></html>")
    found = opened(chromium, page)
    found_faults = " ".join(found.serious_faults())
    assert all(name in found_faults for name in ("button-name", "image-alt", "html-has-lang"))
    found.page.context.close()


def column(found: Opened, place: int, attribute: str | None = None) -> list[str]:
    """A column of the operators' table as it stands."""
    get = f"cell.dataset.{attribute} ?? ''" if attribute else "cell.textContent.trim()"
    return list(
        found.value(
            "[...document.querySelector('[aria-label=\"All operators\"] tbody').rows]"
            f".map((row) => row.cells[{place}]).map((cell) => {get})"
        )
    )


def test_columns_sort_by_keyboard_and_say_so(chromium: Browser, folder: Path) -> None:
    found = opened(chromium, written("calibrated", folder))
    heading = found.page.get_by_role("columnheader", name="Time")
    numbers = [float(text) for text in column(found, 4, "value")]
    heading.get_by_role("button").focus()
    found.page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(found, 4, "value")] == sorted(numbers, reverse=True)
    assert column(found, 1)[0] == "CONV_2D"
    found.page.keyboard.press("Space")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in column(found, 4, "value")] == sorted(numbers)
    types = found.page.get_by_role("columnheader", name="Type")
    types.get_by_role("button").click()
    assert types.get_attribute("aria-sort") == "ascending"
    assert heading.get_attribute("aria-sort") == "none"
    assert column(found, 1) == sorted(column(found, 1), key=str.lower)
    found.page.context.close()


def test_what_has_no_value_sorts_last(chromium: Browser, folder: Path) -> None:
    found = opened(chromium, written("calibrated", folder))
    button = found.page.get_by_role("columnheader", name="Memory").get_by_role("button")
    for _ in range(2):
        button.click()
        values = column(found, 6, "value")
        known = [value for value in values if value]
        assert 0 < len(known) < len(values)
        assert values == known + [""] * (len(values) - len(known))
    found.page.context.close()


def test_the_theme_follows_the_system_until_it_is_chosen(chromium: Browser, folder: Path) -> None:
    path, background = written("ready", folder), "getComputedStyle(document.body).backgroundColor"
    light, dark = opened(chromium, path), opened(chromium, path, scheme="dark")
    white, black = light.value(background), dark.value(background)
    assert white != black
    light.page.context.close()
    button = dark.page.locator("#theme")
    for label, colour in (("light", white), ("dark", black), ("as the system", black), ("light", white)):
        button.click()
        assert button.inner_text() == f"Theme: {label}"
        assert dark.value(background) == colour
    dark.page.reload()
    assert dark.value(background) == white, "the choice is kept"
    dark.page.context.close()


def test_the_bars_show_what_is_chosen(chromium: Browser, folder: Path) -> None:
    found = opened(chromium, written("calibrated", folder))
    shown = (
        "[...document.querySelectorAll('.choices figure')].filter((f) => f.offsetParent).map((f) => f.dataset.chart)"
    )
    assert found.value(shown) == ["by-time"]
    found.page.get_by_role("radio", name="time").focus()
    found.page.keyboard.press("ArrowRight")
    assert found.value(shown) == ["by-instructions"]
    found.page.keyboard.press("ArrowRight")
    assert found.value(shown) == ["by-memory"]
    found.page.context.close()


@pytest.mark.parametrize(("width", "kind"), [(DESK, "wide"), (PHONE, "narrow")])
def test_a_chart_is_drawn_once_with_letters_that_can_be_read(
    chromium: Browser, folder: Path, width: int, kind: str
) -> None:
    found = opened(chromium, written("calibrated", folder), width=width)
    seen = found.value("[...document.querySelectorAll('figure svg')].filter((s) => s.getBoundingClientRect().width)"
                       ".map((s) => s.parentElement.className)")  # fmt: skip
    assert set(seen) == {kind}
    letters = found.value(
        "[...document.querySelectorAll('figure svg text')].map((t) => t.getBoundingClientRect().height).filter(Boolean)"
    )
    assert min(letters) > 9
    cut = found.value(
        "[...document.querySelectorAll('figure svg')].filter((s) => s.getBoundingClientRect().width).filter((s) =>"
        " [...s.querySelectorAll('text')].some((t) => t.getBoundingClientRect().left < s.getBoundingClientRect().left"
        " - 1 || t.getBoundingClientRect().right > s.getBoundingClientRect().right + 1))"
        ".map((s) => s.getAttribute('aria-label'))"
    )
    assert cut == []
    found.page.context.close()


def test_the_first_tab_leads_past_the_heading(chromium: Browser, folder: Path) -> None:
    found = opened(chromium, written("ready", folder))
    found.page.keyboard.press("Tab")
    assert found.value("document.activeElement.textContent") == "To the report"
    found.page.keyboard.press("Enter")
    assert found.value("document.activeElement.id") == "main"
    found.page.context.close()


def test_on_paper(chromium: Browser, folder: Path) -> None:
    """Light, without what only a screen can use, and with all rows of the tables."""
    found = opened(chromium, written("calibrated", folder), scheme="dark")
    found.page.emulate_media(media="print")
    assert found.value("getComputedStyle(document.documentElement).colorScheme") == "light"
    for what in ("nav", "#theme", "fieldset"):
        assert not found.page.locator(what).is_visible()
    hidden = "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollHeight > e.clientHeight + 1).length"
    assert found.value(hidden) == 0
    printed = found.page.pdf(format="A4")
    assert printed.startswith(b"%PDF-")
    assert 3 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 20
    found.page.context.close()


def test_it_can_be_read_without_scripts(chromium: Browser, folder: Path) -> None:
    found = opened(chromium, written("calibrated", folder), scripts=False)
    assert found.requests == [found.address]
    assert found.page.locator(".verdict h2").inner_text() == "READY"
    assert not found.page.locator("#theme").is_visible()
    assert found.page.locator("[data-chart=memory] .wide svg").is_visible()
    found.page.get_by_role("radio", name="memory").check()
    assert found.page.locator("[data-chart=by-memory]").is_visible()
    found.page.context.close()
