"""Progress as an object handed in: silent by default, drawn on stderr by the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[float], None]


class Progress(Protocol):
    """What long work reports to."""

    def task(self, text: str, *, total: float | None = None) -> AbstractContextManager[Advance]:
        """Announce a piece of work; the block gets a function that says how much more of ``total`` is done."""
        ...

    def warn(self, text: str) -> None:
        """Say something the user should know, once."""
        ...


class Silent:
    """Reports nothing."""

    @contextlib.contextmanager
    def task(self, text: str, *, total: float | None = None) -> Iterator[Advance]:  # noqa: ARG002  # the protocol's names
        """See `Progress.task`."""
        yield lambda _done: None

    def warn(self, text: str) -> None:
        """See `Progress.warn`."""
