"""A guest's clocks agree with each other over a busy loop, and none goes back. Prints what each measured."""

import json
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping

CLOCKS: Mapping[str, Callable[[], int]] = {
    "monotonic": time.monotonic_ns,
    "perf_counter": time.perf_counter_ns,
    "process_time": time.process_time_ns,
    "thread_time": time.thread_time_ns,
    "time": time.time_ns,
    "raw": lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
    "boottime": lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    "times": lambda: int(os.times().user * 1e9),
    "rusage": lambda: int(resource.getrusage(resource.RUSAGE_SELF).ru_utime * 1e9),
}
COARSE = {"times": 10_000_000, "rusage": 1_000}


def busy_loop(rounds: int) -> int:
    total = 0
    for i in range(rounds):
        total += i * i
    return total


def measure() -> dict[str, int]:
    before = {name: read() for name, read in CLOCKS.items()}
    busy_loop(200_000)
    return {name: read() - before[name] for name, read in CLOCKS.items()}


def goes_back(rounds: int) -> list[tuple[int, int]]:
    """Threads hand the latest reading on; a later one must not be less."""
    latest = [time.monotonic_ns(), time.time_ns()]
    wrong: list[tuple[int, int]] = []
    lock = threading.Lock()

    def read() -> None:
        for _ in range(rounds):
            with lock:
                now = [time.monotonic_ns(), time.time_ns()]
                wrong.extend((a, b) for a, b in zip(latest, now) if b < a)  # noqa: B905 - also for Python 3.9
                latest[:] = now
            busy_loop(20)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


measured = measure()
for name, value in measured.items():
    assert abs(value - measured["monotonic"]) < 200_000 + COARSE.get(name, 0), measured
assert time.clock_getres(time.CLOCK_MONOTONIC) == 1e-9
assert time.time() > 1_600_000_000
assert not goes_back(500)
print(json.dumps(measured))
