"""The emulator's command line for a job whose instructions are counted."""

from __future__ import annotations

import time
from collections.abc import Mapping

from .base import COUNTS, FAULT, GUEST_CLOCK_LIBRARY, GUEST_FAULT_LIBRARY, GUEST_PLUGIN, GUEST_RUN_DIR, Job

_START_NS = 1_000_000_000_000
"""What the guest's monotonic clock shows first: not zero, which some programs take for "never"."""


def counted(job: Job, qemu: tuple[str, ...], *, inside: bool) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The argv prefix with the plugin, and what the guest's environment needs beside the job's own.

    ``inside``: paths are those of a sandbox with the job's mounts, not the host's. The guest's libraries are preloaded
    by QEMU's ``-E``, for the host's own loader must not see them. ``EDGE_EMULATOR`` lets the clock library start other
    programs of the guest, which no binfmt handler would. It goes without the fault library: QEMU 7.2 with pages of
    16 KiB answers EFAULT for the name of the second that is preloaded, which lies behind the loader's own data.
    """
    counting = job.counting
    if counting is None:
        return qemu, {}
    run_dir, plugin, fault, clock = GUEST_RUN_DIR, GUEST_PLUGIN, GUEST_FAULT_LIBRARY, GUEST_CLOCK_LIBRARY
    if not inside:
        run_dir, plugin, clock = str(job.run_dir), str(counting.plugin), str(counting.clock_library)
        fault = str(counting.fault_library)
    folder = f"{run_dir}/{COUNTS}"
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
    if counting.clock:
        environment = {"EDGE_COUNTS": folder, "EDGE_EMULATOR": "\n".join(words)}
        return (*words, "-E", f"LD_PRELOAD={clock}"), environment
    if counting.fault_library is not None:
        return (*words, "-E", f"LD_PRELOAD={fault}"), {"EDGE_FAULT": f"{run_dir}/{FAULT}"}
    return words, {}
