"""Which calibration is for a run: the board's own, else the same core's on another board, else a near relative's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .calibration import Calibration
from .device import DeviceSpec

SAME_CORE = 0.13
"""Half-width that another board with the same core adds: 9 of 10 rows of a Raspberry Pi 4 lie so near to predictions
from Graviton (the same Cortex-A72) scaled by clock and bandwidth, and the other way round; fp32 nearer, uint8 not."""
RELATED_CORE = 0.25
"""The same for a core of the same design in another package; no pair of such boards was measured: twice `SAME_CORE`."""
OTHER_BUILD = 0.05
"""The same for another version of the runtime, whose kernels may be scheduled differently: builds of 2023 to 2026 need
4 to 8 % fewer instructions with each step."""
SEVERAL_THREADS = 0.3
"""The same where only counts of several threads are known, which hold what threads do to find work too: for the
smallest models that is up to a third of all instructions, for large ones 3 %. Fits are to counts of one thread."""
_RELATED = (frozenset({"neoverse-n1", "cortex-a76"}),)
"""Arm presents the Neoverse N1 as derived from the Cortex-A76, with the same pipeline."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The device, as far as time depends on it."""

    id: str
    soc: str
    core: str
    clock_hz: int
    bandwidth_bytes_per_second: int | None

    @classmethod
    def of(cls, device: DeviceSpec) -> Target:
        """By its spec."""
        return cls(
            id=device.id,
            soc=device.soc,
            core=device.cpu.core,
            clock_hz=device.cpu.clock_hz,
            bandwidth_bytes_per_second=device.memory.bandwidth_bytes_per_second if device.memory else None,
        )


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What ran."""

    runtime: str
    runtime_version: str
    library: str | None
    """Whose kernels did nearly all of it; None for several, or for one without a name."""
    dtype: str | None
    """None for several, or for another."""
    threads: int
    architecture: str
    work_alone: bool = True
    """The counts are of one thread: of the work that several share."""

    @classmethod
    def of(cls, calibration: Calibration) -> Workload:
        """What a calibration was fitted to."""
        return cls(
            runtime=calibration.runtime,
            runtime_version=calibration.runtime_version,
            library=calibration.library,
            dtype=calibration.dtypes[0],
            threads=calibration.threads,
            architecture=calibration.architecture,
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A calibration for the device, scaled where it comes from another."""

    calibration: Calibration
    """With the device's clock and the seconds that bytes take there."""
    half_width: float
    notes: tuple[str, ...]


def choose(calibrations: Iterable[Calibration], target: Target, work: Workload) -> Choice | str:
    """The best choice, or why there is none."""
    fitting = [
        each
        for each in calibrations
        if (each.library == "any" or (each.library == work.library and work.dtype in each.dtypes))
        and each.threads == work.threads
        and each.architecture == work.architecture
    ]
    ranked = sorted(
        ((rank, each) for each in fitting if (rank := _rank(each, target, work)) is not None),
        key=lambda item: (item[0], item[1].id),
    )
    if ranked:
        return _adapted(ranked[0][1], target, work)
    library, dtype = work.library or "kernels of several libraries", work.dtype or "several precisions"
    what = f"{library}, {dtype}, {work.threads} thread{'s' if work.threads > 1 else ''}, {work.architecture}"
    if not fitting:
        return f"no calibration is for {what}"
    return f"no calibration for {what} is for a {target.core} or a core like it: {_list(fitting)}"


def _rank(each: Calibration, target: Target, work: Workload) -> tuple[bool, int, bool, bool] | None:
    if each.soc == target.soc and each.core == target.core:
        nearness = 0
    elif each.core == target.core:
        nearness = 1
    elif {each.core, target.core} in _RELATED:
        nearness = 2
    else:
        return None
    other_build = (each.runtime, each.runtime_version) != (work.runtime, work.runtime_version)
    return each.library == "any", nearness, each.transfer is not None or each.stand_in, other_build


def _adapted(found: Calibration, target: Target, work: Workload) -> Choice:
    notes: list[str] = list(found.notes)
    widths = [found.interval]
    bytes_cost: dict[str, float] = {}
    if found.soc != target.soc or found.core != target.core:
        widths.append(SAME_CORE if found.core == target.core else RELATED_CORE)
        notes.append(transferred(found))
        if found.bandwidth_bytes_per_second and target.bandwidth_bytes_per_second:
            slower = found.bandwidth_bytes_per_second / target.bandwidth_bytes_per_second
            moved = {term: cost for term, cost in found.costs.items() if term != "operator"}
            bytes_cost = {f"seconds_per_{term}": cost * slower for term, cost in moved.items()}
        else:
            notes.append("bandwidth is not scaled: it is not known of both boards")
    elif found.clock_hz != target.clock_hz:
        notes.append(f"measured at {found.clock_hz / 1e6:.0f} MHz, scaled to {target.clock_hz / 1e6:.0f} MHz")
    if found.transfer is not None:
        notes.append(f"from {found.transfer.source}: {found.transfer.reason}")
    if not work.work_alone:
        widths.append(SEVERAL_THREADS)
        notes.append("counts of several threads hold what they do to find work: small models come out too slow")
    same_build = (found.runtime, found.runtime_version) == (work.runtime, work.runtime_version)
    if not same_build and found.library != "any":
        widths.append(OTHER_BUILD)
        notes.append(f"fitted with {found.runtime} {found.runtime_version}, not with the build that ran")
    adapted = found.model_copy(update={"clock_hz": target.clock_hz, **bytes_cost})
    return Choice(calibration=adapted, half_width=math.hypot(*widths), notes=tuple(notes))


def transferred(found: Calibration) -> str:
    """How another board's calibration comes to serve."""
    return f"transferred from {found.device} ({found.core}), scaled by clock and bandwidth"


def _list(found: Sequence[Calibration]) -> str:
    return "there are " + ", ".join(sorted({each.core for each in found}))
