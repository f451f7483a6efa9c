"""glibc's allocator at the end of each phase: what it holds, and how often it has been called so far.

Calls are the counting plugin's to tell: whoever calls a function executes the block of code that begins it. Nothing is
put between a program and its allocator, so a run with this is the run without.
"""

from __future__ import annotations

import ctypes
from typing import Any

from marks import CALLS, SYSTEM_CALL

#: Those that give memory, and the one that takes it back. A C++ ``new`` ends in one of them.
FUNCTIONS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "free")
#: Of ``struct mallinfo2`` (glibc 2.33 and later) and ``struct mallinfo``; malloc.h.
FIELDS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class AllocatorLog:
    """Does nothing under a heap profiler, which replaces the allocator."""

    def __init__(self, *, counted: bool, profile: str) -> None:
        self.phases: list[dict[str, Any]] = []
        self.functions: dict[str, int] = {}
        self._mallinfo: Any = None
        if profile == "heap":
            return
        library = ctypes.CDLL("libc.so.6")  # not None: an executable may have addresses of its own for these
        self._call = ctypes.CDLL(None).syscall
        new = hasattr(library, "mallinfo2")
        self._mallinfo = library.mallinfo2 if new else library.mallinfo
        number = ctypes.c_size_t if new else ctypes.c_uint
        self._mallinfo.restype = type("mallinfo", (ctypes.Structure,), {"_fields_": [(f, number) for f in FIELDS]})
        if counted:
            for name in FUNCTIONS:
                address = _address(library, name)
                if address not in self.functions.values():  # one function may have two names
                    self.functions[name] = address

    def end_of(self, phase: str) -> None:
        """Note what the allocator holds now, and have the calls until now written to the file of marks."""
        if self._mallinfo is None:
            return
        for address in self.functions.values():
            self._call(SYSTEM_CALL, CALLS, ctypes.c_ulong(address))
        found = self._mallinfo()
        self.phases.append(
            {
                "phase": phase,
                "held": found.arena + found.hblkhd,
                "free": found.fordblks,
                "releasable": found.keepcost,
            }
        )


def _address(library: ctypes.CDLL, name: str) -> int:
    """Where the function begins. The lowest bit of an Arm function tells Thumb code."""
    return (ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0) & ~1
