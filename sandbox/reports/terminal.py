"""The report for people: four blocks, at most 80 columns, colours only when asked for.

Names of models, operators and libraries come from untrusted files: control characters are shown, never sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from rich.text import Text

from sandbox.compatibility_checks import cost_words
from sandbox.measurements import Counts, Kernel, Op
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import Check, Heap, Latency, Result
from sandbox.units import format_count, format_duration, format_size

from . import microcontroller_terminal, parity_terminal
from .changes_terminal import changes
from .layout import LABEL, STYLES, WIDTH, clean, heading, in_bytes, printed, row, verdict_lines

_SLOWEST = 5
_LIBRARIES = 3
_CLASSES = 4
_PHASES: Mapping[str, str] = {
    "import": "import",
    "load": "load",
    "allocate": "allocate",
    "warmup": "first inference",
    "inference": "steady state",
}
_RISK: Mapping[str, str] = {"pass": "low", "warn": "high: little is left", "fail": "it does not fit"}


def render(result: Result, *, colour: bool = False) -> str:
    """The report as text."""
    return printed(_lines(result), colour=colour)


def _lines(result: Result) -> Iterator[Text]:
    runtime, device = result.runtime, result.device
    yield Text(f"{clean(PurePath(result.model.path).name)} on {clean(device.name)}", style="bold")
    threads = f"{runtime.threads} thread{'s' if runtime.threads > 1 else ''}"
    build = f"{runtime.name} {runtime.version}, {threads}, {result.image.id}, {device.emulated_cpu}"
    yield Text(clean(build), style="dim")
    yield Text(clean(f"{result.engine.emulator or 'no emulator'}, isolation {result.engine.isolation}"), style="dim")
    if result.cached:
        yield Text(clean(f"the kept run of {result.started}: nothing was run for this report"), style="dim")
    if result.microcontroller is not None:
        yield from microcontroller_terminal.lines(result.microcontroller, result.latency)
    else:
        yield from _memory(result)
        yield from _latency(result)
        yield from _operators(result)
    if result.parity is not None:
        yield from parity_terminal.lines(result.parity)
    if result.baseline is not None:
        yield from changes(result.baseline)
    yield from _verdict(result)


def _memory(result: Result) -> Iterator[Text]:
    memory, heap = result.memory, result.heap
    check = next(check for check in result.checks if check.id == "memory")
    yield heading("MEMORY")
    yield row("peak", in_bytes(memory.peak_rss, interval=True))
    if isinstance(memory.file_backed, Metric) and isinstance(memory.anonymous, Metric):
        shares = (
            f"{format_size(memory.anonymous.value)} its own, {format_size(memory.file_backed.value)} pages of files"
        )
        yield row("", shares, style="dim")
    yield row("available", in_bytes(memory.available))
    yield row("headroom", _headroom(memory.headroom, memory.available))
    yield row("risk", _risk(check), style=STYLES.get(check.status, ""))
    yield row("runtime", f"{in_bytes(memory.runtime_baseline)} before any model is loaded")
    yield row("weights", f"{in_bytes(memory.weights)} in the model file")
    steps = [
        f"{_PHASES[phase.name]} {format_size(phase.peak_rss.value)}"
        for phase in memory.phases
        if phase.name in _PHASES and isinstance(phase.peak_rss, Metric)
    ]
    if steps:
        yield row("by phase", ", ".join(steps))
    largest = ", ".join(
        f"{clean(site.library)} {format_size(site.size.value)}"
        for site in heap.by_library[:_LIBRARIES]
        if isinstance(site.size, Metric)
    )
    callers = heap.sites_unavailable and f"callers unavailable, because {clean(heap.sites_unavailable)}"
    yield row("heap", in_bytes(heap.peak) + (f" at its peak: {callers or largest}" if heap.by_library else ""))
    yield from _heap_owners(heap)
    yield from _allocator(heap)
    emulator = result.memory.emulator_overhead
    if isinstance(emulator, Metric):
        yield row("", f"the emulator's own {format_size(emulator.value)} are in none of these", style="dim")


def _heap_owners(heap: Heap) -> Iterator[Text]:
    if not heap.owners:
        return
    shares = [(share.owner, share.size) for share in heap.owners] + [("allocator", heap.overhead)]
    named = (f"{owner} {format_size(size.value)}" for owner, size in shares if isinstance(size, Metric))
    yield row("held by", ", ".join(named))


def _allocator(heap: Heap) -> Iterator[Text]:
    words = []
    if isinstance(heap.allocator_calls, Metric):
        words.append(f"{format_count(heap.allocator_calls.value)} calls")
        if isinstance(heap.inference_calls, Metric):
            words.append(f"{format_count(heap.inference_calls.value)} in an inference")
    if isinstance(heap.fragmentation, Metric):
        words.append(f"{format_size(heap.fragmentation.value)} free between its blocks")
    if words:
        yield row("allocator", ", ".join(words))


def _latency(result: Result) -> Iterator[Text]:
    latency = result.latency
    yield heading("LATENCY")
    if isinstance(latency.mean, Unavailable):
        yield row("mean", _seconds(latency.mean))
        yield from _counts(latency.counts)
        return
    spread = ""
    low, high = latency.mean.low, latency.mean.high
    if low is not None and high is not None and format_duration(low) != format_duration(high):
        spread = f" ({format_duration(low)} to {format_duration(high)})"
    count = f"{len(latency.samples)} inference{'s' if len(latency.samples) > 1 else ''}"
    yield row("mean", f"{_seconds(latency.mean)}{spread}, {latency.mean.mode}, {count}")
    if latency.mean.mode == "emulated":
        yield row("", clean(latency.mean.source or ""), style="dim")
    yield from _calibrated(latency)
    yield from _counts(latency.counts)


def _calibrated(latency: Latency) -> Iterator[Text]:
    """What a calibration adds: the other times, and how far to trust them."""
    if latency.calibration is None:
        return
    for label, quantity in (("p95", latency.p95), ("sustained", latency.sustained)):
        if isinstance(quantity, Metric):
            yield row(label, format_duration(quantity.value))
    if isinstance(latency.throughput, Metric):
        yield row("rate", f"{latency.throughput.value:.1f} inferences a second")
    if isinstance(latency.energy, Metric):
        least, most = latency.energy.low or 0.0, latency.energy.high or 0.0
        yield row("energy", f"{least:.2g} to {most:.2g} J an inference, the whole board")
    error = f", {latency.calibration.error:.1%} mean error" if latency.calibration.error is not None else ""
    yield row("by", clean(f"{latency.calibration.id}{error}"), style="dim")
    for note in latency.calibration.notes:
        yield row("", clean(note), style="dim")


def _counts(counts: Counts) -> Iterator[Text]:
    done, path = counts.instructions, counts.critical_path
    if isinstance(done, Unavailable) or isinstance(path, Unavailable):
        yield row("work", _instructions(done))
        return
    yield row("work", f"{_instructions(done)} for one inference")
    ranked = sorted(counts.classes.items(), key=lambda item: -item[1])[:_CLASSES]
    total = sum(counts.classes.values())
    named = ", ".join(f"{count / total:.0%} {name.replace('_', ' ')}" for name, count in ranked)
    yield row("", named)
    if len(counts.threads) > 1:
        shares = ", ".join(
            format_count(thread.instructions.value)
            for thread in counts.threads
            if isinstance(thread.instructions, Metric)
        )
        yield row("threads", f"{shares}; critical path {format_count(path.value)}")


def _operators(result: Result) -> Iterator[Text]:
    yield heading("OPERATORS")
    counts = Counter(op.status for op in result.ops)
    ran = counts["native"] + counts["delegated"]
    if ran:
        by_delegate = Counter(op.delegate for op in result.ops if op.status == "delegated")
        taken = ", ".join(f"{count} by {clean(name or '?')}" for name, count in by_delegate.items())
        yield row("native", f"{counts['native']} of {ran} executed" + (f"; {taken}" if taken else ""))
    else:
        yield row("native", f"unknown of {len(result.ops)} in the model: none was seen to its end")
    for kind, detail in dict.fromkeys((op.type, op.detail) for op in result.ops if op.status == "missing"):
        told = detail and any(detail in reason for reason in result.verdict.reasons)
        why = "see the verdict" if told else clean(detail or "not in this build")
        yield row("missing", f"{clean(kind)}: {why}", style="red")
    if found := result.compatibility:
        fallbacks = [each for each in found.operators if each.status == "fallback" and each.cost is not None]
        if words := cost_words(fallbacks):
            costed = sum(isinstance(each.instructions, Metric) for each in fallbacks)
            yield row("slower", clean(f"{costed} in {words}"))
    if result.ops_unavailable and ran:
        yield row("note", clean(result.ops_unavailable))
    yield from _slowest(result.ops)


def _instructions(quantity: Quantity) -> str:
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {clean(quantity.unavailable)}"
    return f"{format_count(quantity.value)} instructions, {quantity.mode}"


def _slowest(ops: tuple[Op, ...]) -> Iterator[Text]:
    timed = [(op.time.value, op) for op in ops if isinstance(op.time, Metric)]
    total = sum(seconds for seconds, _op in timed)
    timed.sort(key=lambda item: -item[0])
    for place, (seconds, op) in enumerate(timed[:_SLOWEST]):
        share = f"{seconds / total:>3.0%}" if total else ""
        count = f"{format_count(op.instructions.value):>6}" if isinstance(op.instructions, Metric) else ""
        kind = f"{clean(op.type)[:28]} {clean(op.dtype or '')[:12]}".strip()
        library = f", {clean(main_library(op.kernels))}" if op.kernels else ""
        room = WIDTH - LABEL - 3 - len(f"{share} {count} {kind} {library}")
        name = clean(op.name)
        name = name if len(name) <= room else f"{name[: room // 2 - 1]}…{name[-(room // 2 - 1) :]}" if room > 8 else ""
        words = " ".join(word for word in (share, count, kind, name) if word)
        yield row("slowest" if place == 0 else "", f"{words}{library}")


def main_library(kernels: Sequence[Kernel]) -> str:
    """The library that ran most of an operator's instructions, of those that are named."""
    by_library: Counter[str] = Counter()
    for kernel in kernels:
        if isinstance(kernel.instructions, Metric):
            by_library[kernel.library] += int(kernel.instructions.value)
    return by_library.most_common(1)[0][0]


def _verdict(result: Result) -> Iterator[Text]:
    yield from verdict_lines(result.verdict)
    for warning in result.warnings:
        yield row("note", clean(warning), style="dim")


def _seconds(quantity: Quantity) -> str:
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {clean(quantity.unavailable)}"
    return format_duration(quantity.value)


def _headroom(headroom: Quantity, available: Quantity) -> str:
    if isinstance(headroom, Unavailable) or isinstance(available, Unavailable):
        return in_bytes(headroom)
    share = f" ({headroom.value / available.value:.0%})" if available.value > 0 else ""
    return f"{in_bytes(headroom)}{share}"


def _risk(check: Check) -> str:
    return _RISK.get(check.status, f"unknown: {clean(check.reason)}")
