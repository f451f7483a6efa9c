"""A real browser for the pages that the tool writes: the host's own Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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
