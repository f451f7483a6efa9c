"""A watchdog sleeps beside a thread that works for longer: it wakes by the device's clock, not by the host's."""

import json
import threading
import time

WORK, PATIENCE = 1.0, 0.5
woke: list[float] = []


def watch() -> None:
    time.sleep(PATIENCE)
    woke.append(time.monotonic() - began)


began = time.monotonic()
watchdog = threading.Thread(target=watch)
watchdog.start()
while time.monotonic() - began < WORK:
    sum(range(1000))
worked = time.monotonic() - began
watchdog.join()
assert PATIENCE <= woke[0] < PATIENCE + 0.2, woke
assert WORK <= worked < WORK + 0.1, worked
print(json.dumps({"woke": woke[0], "worked": worked}))
