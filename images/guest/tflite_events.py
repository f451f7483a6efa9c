"""An object that the TFLite interpreter takes for a C++ ``tflite::Profiler``, made of ctypes callbacks.

The virtual methods and their order are those of ``Profiler`` in tensorflow/lite/core/api/profiler.h; they have not
changed from TensorFlow 2.11 to LiteRT 2.3, which ``tflite_hook`` checks in the loaded library before it is used. In
memory such an object is one pointer to a table of function pointers (Itanium C++ ABI, "Virtual Table Layout").
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

#: ``Profiler::EventType`` values that are about operators; the others (invoke as a whole, telemetry) are not recorded.
OPERATOR, DELEGATE_OPERATOR, DELEGATE_PROFILED_OPERATOR = 2, 4, 8
#: Entries of the table after its two header words: two destructors, BeginEvent, two EndEvent, AddEvent, one more.
METHODS = 7

_THIS, _TAG, _KIND = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_META = ctypes.c_int64
_DESTROY = ctypes.CFUNCTYPE(ctypes.c_void_p, _THIS)
_BEGIN = ctypes.CFUNCTYPE(ctypes.c_uint32, _THIS, _TAG, _KIND, _META, _META)
_END_WITH_METADATA = ctypes.CFUNCTYPE(None, _THIS, ctypes.c_uint32, _META, _META)
_END = ctypes.CFUNCTYPE(None, _THIS, ctypes.c_uint32)
_ADD = ctypes.CFUNCTYPE(None, _THIS, _TAG, _KIND, ctypes.c_uint64, _META, _META)
_ADD_DATA = ctypes.CFUNCTYPE(None, _THIS, _TAG, _KIND, ctypes.c_void_p)


class EventRecorder:
    """Records operator events while ``recording``. Must outlive the interpreter that holds its address.

    ``events`` holds, in order and with times in nanoseconds: ``("run",)`` | ``("begin", tag, node, subgraph, time)`` |
    ``("end", time)`` | ``("add", tag, operator, subgraph, elapsed)``, the last for an operator inside a delegate.
    """

    def __init__(self) -> None:
        self.recording = False
        self.events: list[Sequence[Any]] = []
        self._methods = (
            _DESTROY(lambda this: this),
            _DESTROY(lambda this: this),
            _BEGIN(self._begin),
            _END_WITH_METADATA(lambda _this, handle, _meta1, _meta2: self._end(_this, handle)),
            _END(self._end),
            _ADD(self._add),
            _ADD_DATA(lambda _this, _tag, _kind, _data: None),
        )
        addresses = [ctypes.cast(method, ctypes.c_void_p).value for method in self._methods]
        self._table = (ctypes.c_void_p * METHODS)(*addresses)
        self._object = ctypes.c_void_p(ctypes.addressof(self._table))
        self.address = ctypes.addressof(self._object)

    def overhead_ns(self, tries: int = 50) -> int:
        """The time recorded for a node that does nothing: the callbacks' share in every node's time, and no less.

        Somewhat more, in fact: calling them from Python costs more than from the interpreter. Drops what is recorded.
        """
        begin, end = self._methods[2], self._methods[4]
        self.recording, self.events = True, []
        for _ in range(tries):
            end(self.address, begin(self.address, b"", OPERATOR, 0, 0))
        gaps = [after[1] - before[4] for before, after in zip(self.events[::2], self.events[1::2])]  # noqa: B905
        self.recording, self.events = False, []
        return int(min(gaps))

    def mark_run(self) -> None:
        """The events that follow belong to the next inference."""
        if self.recording:
            self.events.append(("run",))

    # The clock is read last in _begin and first in _end: the callbacks' own time falls outside the operators'.

    def _begin(self, _this: int, tag: bytes, kind: int, node: int, subgraph: int) -> int:
        if not self.recording or kind != OPERATOR:
            return 0
        event: list[Any] = ["begin", tag, node, subgraph, 0]
        self.events.append(event)
        event[4] = time.perf_counter_ns()
        return 1

    def _end(self, _this: int, handle: int) -> None:
        now = time.perf_counter_ns()
        if handle:
            self.events.append(("end", now))

    def _add(self, _this: int, tag: bytes, kind: int, elapsed_us: int, operator: int, subgraph: int) -> None:
        if self.recording and kind in (DELEGATE_OPERATOR, DELEGATE_PROFILED_OPERATOR):
            self.events.append(("add", tag, operator, subgraph, elapsed_us * 1000))
