"""The page of `compare` in a real browser: as the command makes it of recorded runs, and with hostile names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from sandbox.comparison import comparison
from sandbox.reports import compare_html
from sandbox.result import Tool
from tests.browser import DESK, PHONE, Opened, opened
from tests.unit.comparisons import cell
from tests.unit.reports.documents import HOSTILE, hostile, hostile_microcontroller

from .cli import EXAMPLE_TFLITE, edge_sandbox
from .kept_runs import ENGINE, keep

pytestmark = [pytest.mark.browser, pytest.mark.subprocess, pytest.mark.timeout(300)]

KEPT = {"rpi4b": "calibrated", "rpi5": "ready", "rpi-zero-2w": "out_of_memory", "rpi3b": "missing_operator"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of four kept runs, and four cells that cannot be run."""
    folder = tmp_path_factory.mktemp("compare")
    path, env = folder / "compare.html", keep(folder / "cache", KEPT)
    devices = [word for device in KEPT for word in ("--device", device)]
    devices += ["--os", "bookworm-arm64", "--os", "bookworm-amd64"]
    options = ("--engine", ENGINE, "--format", "html", "--output", path, "--quiet")
    done = edge_sandbox("compare", EXAMPLE_TFLITE, *devices, *options, env=env)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    return path


def assert_sound(found: Opened) -> None:
    for width in (DESK, PHONE):
        found.page.set_viewport_size({"width": width, "height": 800})
        assert found.overflow() <= 0, f"at {width} pixels"
        assert found.page.locator(".verdict h2").is_visible()
    assert found.faults() == []
    found.page.context.close()


def test_no_error_no_network_and_room_for_a_phone(chromium: Browser, page: Path) -> None:
    assert_sound(opened(chromium, page))


def test_hostile_names_inject_nothing(chromium: Browser, tmp_path: Path) -> None:
    cells = [
        cell(1, result=hostile(), model=HOSTILE, device=HOSTILE, runtime=HOSTILE, image=HOSTILE),
        cell(2, result=hostile_microcontroller(), model=HOSTILE),
        cell(3, None, device=HOSTILE, error=HOSTILE, fix=HOSTILE),
    ]
    path = tmp_path / "hostile.html"
    path.write_text(compare_html.render(comparison(Tool(version="1"), cells)), encoding="utf-8")
    assert_sound(opened(chromium, path))


@pytest.mark.parametrize(("scheme", "width"), [("light", DESK), ("dark", PHONE)])
def test_axe_finds_no_serious_fault(
    chromium: Browser, page: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    found = opened(chromium, page, scheme=scheme, width=width)
    assert found.serious_faults() == []
    found.page.context.close()


def test_the_table_sorts_and_leads_to_the_cells(chromium: Browser, page: Path) -> None:
    found = opened(chromium, page)
    heading = found.page.get_by_role("columnheader", name="Peak")
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    place = heading.evaluate("(cell) => cell.cellIndex")
    values = "[...document.querySelector('.sortable tbody').rows].map((row) => row.cells[PLACE].dataset.value ?? '')"
    values = values.replace("PLACE", str(place))
    known = [float(value) for value in found.value(values) if value]
    assert len(known) >= 2
    assert known == sorted(known, reverse=True)
    assert found.value(values)[len(known) :] == [""] * (2 * len(KEPT) - len(known))
    found.page.get_by_role("region", name="Table of cells").get_by_role("link", name="5", exact=True).click()
    assert found.value("location.hash") == "#cell-5"
    assert found.page.get_by_role("heading", name="5: rpi-zero-2w").is_visible()
    found.page.context.close()
