"""The report of a firmware run for people, in the style of the profile's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from rich.text import Text

from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.microcontroller.firmware_result import FirmwareResult, Part, Place, Run
from sandbox.units import format_count, format_duration, format_size

from .layout import STYLES, clean, heading, in_bytes, printed, row, verdict_lines

_SYMBOLS = 5
_CONSOLE_LINES = 12


def render(result: FirmwareResult, *, colour: bool = False) -> str:
    """The report as text."""
    return printed(_lines(result), colour=colour)


def _lines(result: FirmwareResult) -> Iterator[Text]:
    yield Text(f"{clean(PurePath(result.program.path).name)} on {clean(result.device.name)}", style="bold")
    if result.engine is not None:
        yield Text(clean(f"{result.engine.emulator}, machine {result.engine.machine}"), style="dim")
        for text in result.engine.differs:
            yield row("differs", clean(text), style="dim")
    yield from _memory(result)
    if result.run is not None:
        yield heading("RUN")
        yield row("counted", _count(result.run.instructions))
        yield from _time(result.run)
        yield row("in all", _count(result.run.all_instructions))
        yield row("touched", f"{in_bytes(result.run.ram_touched)} of RAM")
        lines = result.run.console.splitlines()
        for number, text in enumerate(lines[:_CONSOLE_LINES]):
            yield row("" if number else "printed", clean(text))
        if len(lines) > _CONSOLE_LINES:
            yield row("", f"… {len(lines) - _CONSOLE_LINES} more lines in --format json", style="dim")
    yield heading("CHECKS")
    for check in result.checks:
        yield row(check.id, check.status, style=STYLES.get(check.status, ""))
        yield row("", clean(check.reason))
    yield from verdict_lines(result.verdict)


def _time(run: Run) -> Iterator[Text]:
    if isinstance(run.time, Unavailable):
        if isinstance(run.instructions, Metric):
            yield row("time", f"unavailable, because {clean(run.time.unavailable)}", style="dim")
        return
    low, high = run.time.low or run.time.value, run.time.high or run.time.value
    span = f"{format_duration(low)} to {format_duration(high)}"
    yield row("time", f"{format_duration(run.time.value)} {run.time.mode}, {span}")
    if run.calibration is not None:
        error = run.calibration.error
        mean_error = f", {error:.0%} mean error on models left out" if error is not None else ""
        for text in (f"{run.calibration.id}{mean_error}", *run.calibration.notes):
            yield row("", clean(text), style="dim")


def _memory(result: FirmwareResult) -> Iterator[Text]:
    for name, place in (("FLASH", result.flash), ("RAM", result.ram)):
        yield heading(name)
        yield row("used", f"{in_bytes(place.used)} of {in_bytes(place.available)}")
        yield from _parts(place)
    yield row("stack", f"{in_bytes(result.stack.size)}; used {in_bytes(result.stack.used)}")
    yield row("heap", in_bytes(result.heap.size))
    name = f" ({clean(result.arena_symbol)})" if result.arena_symbol else ""
    yield row("arena", f"{in_bytes(result.arena)}{name}")


def _parts(place: Place) -> Iterator[Text]:
    for part in place.sections:
        yield row("", _part(part), style="dim")
    for number, part in enumerate(place.symbols[:_SYMBOLS]):
        yield row("" if number else "largest", _part(part), style="dim")


def _part(part: Part) -> str:
    size = format_size(part.size.value) if isinstance(part.size, Metric) else "?"
    return f"{size:>8}  {clean(part.name)} at {part.address:#010x}"


def _count(quantity: Quantity) -> str:
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {clean(quantity.unavailable)}"
    return f"{format_count(quantity.value)} {quantity.unit}s {quantity.mode}"
