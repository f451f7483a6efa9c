"""A real browser for the pages that the tool writes: the host's own Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.analysis import analyse
from sandbox.reports import html

from .record_runs import PROJECT, RUNS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURE = PROJECT / "docs" / "report.png"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),  # root has no user namespace of its own
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def executable() -> str | None:
    """The host's browser; Playwright would download one of its own."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def left_out() -> str | None:
    """Why this host cannot open pages, or None."""
    return None if executable() else "no Chromium on this host; next: apt-get install chromium"


@contextlib.contextmanager
def started() -> Iterator[Browser]:
    """A browser without a window and with a new profile, closed at the end."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def main() -> None:
    """``python -m tests.browser``: take docs/report.png, the top of the HTML report of the run `calibrated`."""
    text = html.render(analyse(RUNS / "calibrated"))
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-picture-") as folder, started() as browser:
        path = Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": 1000, "height": 1120}, color_scheme="light")
        page.goto(path.as_uri())
        page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
