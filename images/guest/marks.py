"""Marks in the counts of the emulator's plugin: which instructions belong to an inference, which to an operator.

The plugin answers a system call that no kernel has (``images/plugin/counts.h``); elsewhere it is an error that nobody
looks at.
"""

from __future__ import annotations

import ctypes

SYSTEM_CALL = 60782
RESET, MARK, CALLS = 2, 3, 7
#: The mark at the end of an inference; those of operators count from 0.
INFERENCE = 0x7FFFFFFF


class Marks:
    """Does nothing unless the run is counted."""

    def __init__(self, *, counted: bool) -> None:
        self._call = ctypes.CDLL(None).syscall if counted else None

    def reset(self) -> None:
        """What ran so far belongs to nothing."""
        if self._call is not None:
            self._call(SYSTEM_CALL, RESET)

    def inference_ends(self) -> None:
        """What ran since the last mark is written down."""
        if self._call is not None:
            self._call(SYSTEM_CALL, MARK, ctypes.c_ulong(INFERENCE))


def record_clocks(library: str, *, on: bool) -> None:
    """Let every reading of a clock leave a mark, from now on or no more: a runtime's own profiler reads one around each
    operator. ``library`` is the clock library."""
    ctypes.c_int.in_dll(ctypes.CDLL(library), "edge_recording").value = int(on)
