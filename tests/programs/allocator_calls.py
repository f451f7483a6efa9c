"""Calls the allocator a known number of times, leaves known holes, and asks the kernel for a known size at last."""

import ctypes
import importlib
import json
import mmap
import sys
import threading

sys.path.insert(0, "/edge/guest")
AllocatorLog = importlib.import_module("allocator").AllocatorLog

CALLS, SIZE, ASKED = 1000, 50_000, 32 << 20

libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]


def in_a_thread() -> None:
    for _ in range(CALLS):
        libc.free(libc.malloc(SIZE))


log = AllocatorLog(counted=True, profile="latency")
log.end_of("import")
blocks = [libc.malloc(SIZE) for _ in range(CALLS)]
log.end_of("load")
for block in blocks[::2]:
    libc.free(block)
log.end_of("allocate")
thread = threading.Thread(target=in_a_thread)
thread.start()
thread.join()
log.end_of("inference")
print(json.dumps({"allocator": {"functions": log.functions, "phases": log.phases}}))
kept = mmap.mmap(-1, ASKED, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
sys.stdout.flush()
