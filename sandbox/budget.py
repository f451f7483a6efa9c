"""What the guest may use of the device's memory."""

from __future__ import annotations

from dataclasses import dataclass

from .device import DeviceSpec, OsChoice, memory_budget
from .errors import UsageError
from .metrics import Metric, Quantity
from .units import format_size


@dataclass(frozen=True, kw_only=True)
class MemoryBudget:
    """What the guest may use, and where that comes from."""

    available: Quantity
    limit_bytes: int
    source: str
    swap_bytes: int = 0
    """Of the limit, what the device has as swap."""


def budget(
    device: DeviceSpec, os: OsChoice, memory_bytes: int | None, reserve_bytes: int = 0, *, swap: bool = False
) -> MemoryBudget:
    """The memory limit: asked for, else what the device leaves, else its whole RAM, saying which.

    ``reserve_bytes`` are kept back for other programs; ``swap`` adds the swap that the device's OS sets up, but not
    zram: what that brings depends on how well pages compress. Raises `UsageError` when nothing is left, or the device
    has no swap.
    """
    whole = _whole_budget(device, os, memory_bytes)
    swap_bytes = _swap_bytes(device, os) if swap else 0
    left, source = whole.limit_bytes, whole.source
    if reserve_bytes:
        left, source = left - reserve_bytes, f"{source}, less --reserve {format_size(reserve_bytes)}"
    if left <= 0:
        raise UsageError(
            f"--reserve {format_size(reserve_bytes)} leaves nothing of {format_size(whole.limit_bytes)}",
            hint="reserve less",
        )
    if swap_bytes:
        left, source = left + swap_bytes, f"{source}, and {format_size(swap_bytes)} of swap"
    available = whole.available
    if isinstance(available, Metric) and left != whole.limit_bytes:
        change = left - whole.limit_bytes
        available = available.model_copy(update={"value": available.value + change, "source": source})
    return MemoryBudget(available=available, limit_bytes=left, source=source, swap_bytes=swap_bytes)


def _swap_bytes(device: DeviceSpec, os: OsChoice) -> int:
    """What swap adds to the memory. Raises `UsageError` where the spec names none."""
    if os.swap_bytes is None and os.zram_bytes is None:
        raise UsageError(
            f"--swap: the spec of {device.id} gives no swap_bytes and no zram_bytes for {os.image}",
            hint="leave --swap out, or add the field to a spec of your own",
        )
    return os.swap_bytes or 0


def _whole_budget(device: DeviceSpec, os: OsChoice, memory_bytes: int | None) -> MemoryBudget:
    known = memory_budget(device, os)
    if memory_bytes is not None:
        asked = Metric(value=memory_bytes, unit="byte", mode="predicted", source="--memory")
        return MemoryBudget(available=asked, limit_bytes=memory_bytes, source="--memory")
    if isinstance(known, Metric):
        return MemoryBudget(available=known, limit_bytes=int(known.value), source=known.source or device.id)
    return MemoryBudget(
        available=known,
        limit_bytes=device.ram_bytes,
        source=f"the whole RAM of {format_size(device.ram_bytes)}, for what the system keeps of it is not known",
    )
