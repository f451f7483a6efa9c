"""Wait statuses."""

from __future__ import annotations

import signal

import pytest

from sandbox.engines.base import signal_of


@pytest.mark.parametrize(
    ("returncode", "expected"),
    [
        (0, (0, None)),
        (1, (1, None)),
        (128, (128, None)),
        (-signal.SIGKILL, (None, 9)),
        (-signal.SIGILL, (None, 4)),
        (128 + signal.SIGILL, (None, 4)),
        (128 + signal.SIGKILL, (None, 9)),
        (128 + signal.SIGRTMAX, (None, 64)),
        (193, (193, None)),
        (255, (255, None)),
    ],
)
def test_signal_of(returncode: int, expected: tuple[int | None, int | None]) -> None:
    assert signal_of(returncode) == expected
