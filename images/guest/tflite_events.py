"""What a TFLite interpreter tells its profiler, as the clock library's C++ look-alike object recorded it.

The object is in ``images/clock/tflite_profiler.c``: a callback into Python costs more than a small operator does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from marks import record_clocks

#: Entries of the object's table: two destructors, BeginEvent, two EndEvent, AddEvent, one more.
METHODS = 7
BEGIN, END, ADD = 0, 1, 2


class _Event(ctypes.Structure):
    """``struct event``."""

    _fields_ = (
        ("time_ns", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("node", ctypes.c_int64),
        ("subgraph", ctypes.c_int64),
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_uint32),
        ("mark", ctypes.c_uint32),
    )


class EventRecorder:
    """The recorder in the library at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._library = ctypes.CDLL(path)
        self._library.edge_tflite_profiler.restype = ctypes.c_void_p
        self._library.edge_tflite_events.restype = ctypes.POINTER(_Event)
        self.address: int = self._library.edge_tflite_profiler()

    def record(self, *, on: bool) -> None:
        """Record operators from now on, or no more; clocks leave marks meanwhile, for delegates time with them."""
        self._library.edge_tflite_record(int(on))
        record_clocks(self._path, on=on)

    def count(self) -> int:
        """How many events there are."""
        count = ctypes.c_size_t()
        self._library.edge_tflite_events(ctypes.byref(count))
        return count.value

    def events(self) -> list[Sequence[Any]]:
        """In order, times in nanoseconds: ``("begin", tag, node, subgraph, time, mark)`` | ``("end", time, mark)`` |
        ``("add", tag, operator, subgraph, elapsed, mark)``, the last for an operator inside a delegate."""
        count = ctypes.c_size_t()
        found = self._library.edge_tflite_events(ctypes.byref(count))
        return [_as_tuple(found[place]) for place in range(count.value)]


def _as_tuple(event: _Event) -> Sequence[Any]:
    if event.kind == BEGIN:
        return ("begin", event.tag, event.node, event.subgraph, event.time_ns, event.mark)
    if event.kind == END:
        return ("end", event.time_ns, event.mark)
    return ("add", event.tag, event.node, event.subgraph, event.elapsed_us * 1000, event.mark)
