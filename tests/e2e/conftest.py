"""What several end-to-end tests need running."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the pages of one file of tests."""
    from tests import browser  # noqa: PLC0415  # slow to import, and most tests open no page

    with browser.started() as found:
        yield found
