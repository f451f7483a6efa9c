"""What the reports for people say of a microcontroller: arena, flash, RAM, operators and latency."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.microcontroller.outcome import Arena, MicrocontrollerPart
from sandbox.result import Latency
from sandbox.units import format_count, format_duration

from .layout import clean, heading, in_bytes, row

_KERNELS = {"reference": "reference kernels", "cmsis-nn": "CMSIS-NN kernels"}


def lines(part: MicrocontrollerPart, latency: Latency | None) -> Iterator[Text]:
    """The blocks between the head of a report and its verdict."""
    yield from _memory(part)
    yield from _latency(part, latency)
    yield from _operators(part)


def _memory(part: MicrocontrollerPart) -> Iterator[Text]:
    yield heading("MEMORY")
    for arena in part.arenas:
        yield from _arena(arena)
    if not part.arenas:
        yield row("arena", "unavailable, because TFLM did not set the model up")
    for place, block in enumerate(part.ram):
        yield row("RAM" if place == 0 else "", f"{in_bytes(block.size)} in a row: {clean(block.banks)}")
    flash = part.flash
    yield row("flash", f"{_span(flash.total)} of {in_bytes(flash.available)}")
    yield row("", f"model {in_bytes(flash.model)}; TFLM's code {_span(flash.code)}", style="dim")


def _arena(arena: Arena) -> Iterator[Text]:
    where = "this 64-bit host" if arena.where == "host" else f"the board, {_KERNELS[arena.kernels]}"
    yield row("arena", f"{_span(arena.minimum)} on {where}", style="dim" if arena.where == "host" else "")
    if isinstance(arena.head, Metric) and isinstance(arena.tail, Metric):
        parts = f"head {_bytes(arena.head.value)}, tail {_bytes(arena.tail.value)}"
        yield row("", f"{parts}; TFLM itself reports {in_bytes(arena.recorded)}", style="dim")


def _latency(part: MicrocontrollerPart, latency: Latency | None) -> Iterator[Text]:
    yield heading("LATENCY")
    if latency is None:
        return
    mean = latency.mean
    if isinstance(mean, Unavailable):
        yield row("mean", f"unavailable, because {clean(mean.unavailable)}")
    else:
        low, high = mean.low or mean.value, mean.high or mean.value
        span = f"{format_duration(low)} to {format_duration(high)}"
        yield row("mean", f"{format_duration(mean.value)} {mean.mode}, {span}")
    if latency.calibration is not None:
        error = latency.calibration.error
        mean_error = f", {error:.0%} mean error on models left out" if error is not None else ""
        yield row("by", clean(f"{latency.calibration.id}{mean_error}"), style="dim")
        for note in latency.calibration.notes:
            yield row("", clean(note), style="dim")
    instructions = latency.counts.instructions
    if isinstance(instructions, Metric):
        yield row("work", f"{format_count(instructions.value)} instructions, {instructions.mode}")
    macs = part.macs
    words = f"{format_count(macs.value)} multiply-accumulates" if isinstance(macs, Metric) else clean(macs.unavailable)
    yield row("" if isinstance(instructions, Metric) else "work", words)


def _operators(part: MicrocontrollerPart) -> Iterator[Text]:
    yield heading("OPERATORS")
    missing = dict.fromkeys((work.type, work.detail) for work in part.operators if work.registered is False)
    known = sum(work.registered is True for work in part.operators)
    yield row("TFLM has", f"{known} of {len(part.operators)}")
    for kind, detail in missing:
        yield row("missing", f"{clean(kind)}: {clean(detail or 'not in this build')}", style="red")
    if any(isinstance(work.time, Metric) for work in part.operators):
        yield from _slowest(part)
        return
    costly = [(work.macs.value, work) for work in part.operators if isinstance(work.macs, Metric) and work.macs.value]
    costly.sort(key=lambda item: -item[0])
    total = sum(macs for macs, _work in costly)
    for place, (macs, work) in enumerate(costly[:3]):
        share = f"{macs / total:>3.0%} {format_count(macs):>6} {clean(work.type)} (operator {work.index})"
        yield row("largest" if place == 0 else "", share)


def _slowest(part: MicrocontrollerPart) -> Iterator[Text]:
    timed = [(work.time.value, work) for work in part.operators if isinstance(work.time, Metric)]
    timed.sort(key=lambda item: -item[0])
    between = part.interpreter_time.value if isinstance(part.interpreter_time, Metric) else 0
    total = sum(time for time, _work in timed) + between
    for place, (time, work) in enumerate(timed[:3]):
        share = f"{time / total:>3.0%} {format_duration(time):>8} {clean(work.type)} (operator {work.index})"
        yield row("slowest" if place == 0 else "", share)
    yield row("", f"{between / total:>3.0%} {format_duration(between):>8} between operators", style="dim")


def _span(quantity: Quantity) -> str:
    """Plain bytes and the interval: arenas are set to the byte."""
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {clean(quantity.unavailable)}"
    text = f"{_bytes(quantity.value)} {quantity.mode}"
    if quantity.low is None or quantity.high is None or quantity.low == quantity.high:
        return text
    return f"{text} ({quantity.low:,.0f} to {quantity.high:,.0f})"


def _bytes(value: float) -> str:
    return f"{value:,.0f} B"
