"""How far a run's memory limit is the device's: what the reader of a result has to know. Pure."""

from __future__ import annotations

from .metrics import Unavailable
from .record import RunRecord
from .units import format_size


def memory_notes(record: RunRecord, limit_mechanism: str) -> tuple[str, ...]:
    """Sentences for people, none where all is as on the device."""
    device, found = record.device, []
    limit = format_size(device.memory_limit_bytes)
    if limit_mechanism == "watchdog":
        found.append("the memory limit was kept by a watchdog that reads memory every 10 ms, not by the kernel")
    if device.swap_bytes:
        found.append(
            f"of the limit of {limit}, {format_size(device.swap_bytes)} are the device's swap, counted as RAM: this "
            "host's own swap is not used, and the time that swapping takes is not simulated"
        )
    if device.zram_left_out_bytes:
        found.append(
            f"the device's zram of {format_size(device.zram_left_out_bytes)} is not counted: its pages stay in the "
            "RAM, and how well this model's compress is not known"
        )
    kind = "free memory" if "free_memory_bytes" in record.host else "memory"  # older records know all of it only
    free = record.host.get("free_memory_bytes", record.host.get("memory_bytes"))
    if isinstance(free, int) and free < device.memory_limit_bytes:
        found.append(
            f"this host has {format_size(free)} of {kind}, less than the limit of {limit}: running out at that "
            "limit was not simulated"
        )
    if isinstance(device.available, Unavailable):
        found.append(device.available.unavailable)
    return tuple(found)
