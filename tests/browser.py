"""A real browser for the pages that the tool writes: the host's own Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sandbox.analysis import analyse
from sandbox.reports import html

from .record_runs import PROJECT, RUNS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PICTURE = PROJECT / "docs" / "report.png"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),  # root has no user namespace of its own
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

DESK, PHONE = 1100, 360
"""Widths of windows in pixels."""
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


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


@dataclass
class Opened:
    """A page, and all that it did which it must not."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def value(self, script: str) -> Any:
        return self.page.evaluate(script)

    def faults(self) -> list[str]:
        """All that a report must not do: scripts of others, pictures, requests, complaints."""
        owned = self.value("window.owned !== undefined || document.images.length > 0")
        return [
            *(["something was injected"] if owned else []),
            *self.value("window.violations"),
            *self.complaints,
            *(address for address in self.requests if address != self.address),
        ]

    def serious_faults(self) -> list[str]:
        """What axe-core finds that keeps people from reading the page."""
        from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

        return [
            f"{fault['impact']} {fault['id']}: {fault['nodes'][0]['html'][:200]}"
            for fault in Axe().run(self.page).response["violations"]
            if fault["impact"] in {"serious", "critical"}
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.value("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def opened(
    chromium: Browser,
    path: Path,
    *,
    width: int = DESK,
    scheme: Literal["light", "dark"] = "light",
    scripts: bool = True,
) -> Opened:
    """Open a file; a context of its own, which the caller closes."""
    page = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=scripts
    ).new_page()
    found = Opened(page=page, address=path.as_uri())
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    if scripts:
        page.add_init_script(_WATCH)
    page.goto(found.address)
    return found


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
