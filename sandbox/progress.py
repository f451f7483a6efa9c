"""Progress as an object handed in: silent by default, drawn on stderr by the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[float], None]


class Progress(Protocol):
    """What long work reports to."""

    def task(
        self, text: str, *, total: float | None = None, expected_seconds: float | None = None
    ) -> AbstractContextManager[Advance]:
        """Announce a piece of work; the block gets a function that says how much more of ``total`` is done.

        ``expected_seconds``: how long such work took before.
        """
        ...

    def warn(self, text: str) -> None:
        """Say something the user should know, once."""
        ...


class Silent:
    """Reports nothing."""

    @contextlib.contextmanager
    def task(
        self,
        text: str,  # noqa: ARG002  # the protocol's names
        *,
        total: float | None = None,  # noqa: ARG002
        expected_seconds: float | None = None,  # noqa: ARG002
    ) -> Iterator[Advance]:
        """See `Progress.task`."""
        yield lambda _done: None

    def warn(self, text: str) -> None:
        """See `Progress.warn`."""
