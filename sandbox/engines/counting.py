"""The emulator's command line for a job whose instructions are counted."""

from __future__ import annotations

import time
from collections.abc import Mapping

from .base import COUNTS, GUEST_CLOCK_LIBRARY, GUEST_PLUGIN, GUEST_RUN_DIR, Job

_START_NS = 1_000_000_000_000
"""What the guest's monotonic clock shows first: not zero, which some programs take for "never"."""


def counted(job: Job, qemu: tuple[str, ...], *, inside: bool) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The argv prefix with the plugin, and what the guest's environment needs beside the job's own.

    ``inside``: paths are those of a sandbox with the job's mounts, not the host's. The clock library is preloaded by
    QEMU's ``-E``, for the host's own loader must not see it. ``EDGE_EMULATOR`` lets that library start other programs
    of the guest, which no binfmt handler would.
    """
    counting = job.counting
    if counting is None:
        return qemu, {}
    plugin, folder, clock = GUEST_PLUGIN, f"{GUEST_RUN_DIR}/{COUNTS}", GUEST_CLOCK_LIBRARY
    if not inside:
        plugin, folder, clock = str(counting.plugin), str(job.run_dir / COUNTS), str(counting.clock_library)
    numerator, denominator = counting.tick_ns
    options = [
        plugin.replace(",", ",,"),
        f"dir={folder.replace(',', ',,')}",
        f"rate={numerator}/{denominator}",
        f"start={_START_NS}",
        f"realtime={time.time_ns()}",
        *([f"caches={counting.caches}"] if counting.caches else []),
    ]
    words = (*qemu, "-plugin", ",".join(options))
    if not counting.clock:
        return words, {}
    environment = {"EDGE_COUNTS": folder, "EDGE_EMULATOR": "\n".join(words)}
    return (*words, "-E", f"LD_PRELOAD={clock}"), environment
