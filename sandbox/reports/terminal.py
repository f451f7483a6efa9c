"""The report for people: four blocks, at most 80 columns, colours only when asked for.

Names of models, operators and libraries come from untrusted files: control characters are shown, never sent.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from rich.console import Console
from rich.text import Text

from sandbox.measurements import Counts, Kernel, Op
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import Check, Result
from sandbox.units import format_count, format_duration, format_size

WIDTH = 80
_LABEL = 11
_SLOWEST = 5
_LIBRARIES = 3
_CLASSES = 4
_STYLES: Mapping[str, str] = {
    "ready": "bold green",
    "marginal": "bold yellow",
    "not_ready": "bold red",
    "unknown": "bold yellow",
    "pass": "green",
    "warn": "yellow",
    "fail": "red",
}
_RISK: Mapping[str, str] = {"pass": "low", "warn": "high: little is left", "fail": "it does not fit"}


def render(result: Result, *, colour: bool = False) -> str:
    """The report as text."""
    console = Console(
        file=io.StringIO(), width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False, markup=False
    )
    for line in _lines(result):
        console.print(line, soft_wrap=False)
    written = console.file
    return written.getvalue() if isinstance(written, io.StringIO) else ""


def _lines(result: Result) -> Iterator[Text]:
    runtime, device = result.runtime, result.device
    yield Text(f"{_clean(PurePath(result.model.path).name)} on {_clean(device.name)}", style="bold")
    threads = f"{runtime.threads} thread{'s' if runtime.threads > 1 else ''}"
    build = f"{runtime.name} {runtime.version}, {threads}, {result.image.id}, {device.emulated_cpu}"
    yield Text(_clean(build), style="dim")
    yield Text(_clean(f"{result.engine.emulator or 'no emulator'}, isolation {result.engine.isolation}"), style="dim")
    yield from _memory(result)
    yield from _latency(result)
    yield from _operators(result)
    yield from _verdict(result)


def _memory(result: Result) -> Iterator[Text]:
    memory, heap = result.memory, result.heap
    check = next(check for check in result.checks if check.id == "memory")
    yield _heading("MEMORY")
    yield _row("peak", _bytes(memory.peak_rss, interval=True))
    yield _row("available", _bytes(memory.available))
    yield _row("headroom", _headroom(memory.headroom, memory.available))
    yield _row("risk", _risk(check), style=_STYLES.get(check.status, ""))
    yield _row("runtime", f"{_bytes(memory.runtime_baseline)} before any model is loaded")
    yield _row("weights", f"{_bytes(memory.weights)} in the model file")
    largest = ", ".join(
        f"{_clean(site.library)} {format_size(site.size.value)}"
        for site in heap.by_library[:_LIBRARIES]
        if isinstance(site.size, Metric)
    )
    callers = heap.sites_unavailable and f"callers unavailable, because {_clean(heap.sites_unavailable)}"
    yield _row("heap", _bytes(heap.peak) + (f" at its peak: {callers or largest}" if heap.by_library else ""))
    emulator = result.memory.emulator_overhead
    if isinstance(emulator, Metric):
        yield _row("", f"the emulator's own {format_size(emulator.value)} are in none of these", style="dim")


def _latency(result: Result) -> Iterator[Text]:
    latency = result.latency
    yield _heading("LATENCY")
    if isinstance(latency.mean, Unavailable):
        yield _row("mean", _seconds(latency.mean))
        return
    spread = ""
    low, high = latency.mean.low, latency.mean.high
    if low is not None and high is not None and format_duration(low) != format_duration(high):
        spread = f" ({format_duration(low)} to {format_duration(high)})"
    count = f"{len(latency.samples)} inference{'s' if len(latency.samples) > 1 else ''}"
    yield _row("mean", f"{_seconds(latency.mean)}{spread}, {latency.mean.mode}, {count}")
    if latency.mean.mode == "emulated":
        yield _row("", _clean(latency.mean.source or ""), style="dim")
    yield from _counts(latency.counts)


def _counts(counts: Counts) -> Iterator[Text]:
    done, path = counts.instructions, counts.critical_path
    if isinstance(done, Unavailable) or isinstance(path, Unavailable):
        yield _row("work", _instructions(done))
        return
    yield _row("work", f"{_instructions(done)} for one inference")
    ranked = sorted(counts.classes.items(), key=lambda item: -item[1])[:_CLASSES]
    total = sum(counts.classes.values())
    named = ", ".join(f"{count / total:.0%} {name.replace('_', ' ')}" for name, count in ranked)
    yield _row("", named)
    if len(counts.threads) > 1:
        shares = ", ".join(
            format_count(thread.instructions.value)
            for thread in counts.threads
            if isinstance(thread.instructions, Metric)
        )
        yield _row("threads", f"{shares}; critical path {format_count(path.value)}")


def _operators(result: Result) -> Iterator[Text]:
    yield _heading("OPERATORS")
    counts = Counter(op.status for op in result.ops)
    ran = counts["native"] + counts["delegated"]
    if ran:
        by_delegate = Counter(op.delegate for op in result.ops if op.status == "delegated")
        taken = ", ".join(f"{count} by {_clean(name or '?')}" for name, count in by_delegate.items())
        yield _row("native", f"{counts['native']} of {ran} executed" + (f"; {taken}" if taken else ""))
    else:
        yield _row("native", f"unknown of {len(result.ops)} in the model: none was seen to its end")
    for kind, detail in dict.fromkeys((op.type, op.detail) for op in result.ops if op.status == "missing"):
        yield _row("missing", f"{_clean(kind)}: {_clean(detail or 'not in this build')}", style="red")
    if result.ops_unavailable and ran:
        yield _row("note", _clean(result.ops_unavailable))
    yield from _slowest(result.ops)


def _instructions(quantity: Quantity) -> str:
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {_clean(quantity.unavailable)}"
    return f"{format_count(quantity.value)} instructions, {quantity.mode}"


def _slowest(ops: tuple[Op, ...]) -> Iterator[Text]:
    timed = [(op.time.value, op) for op in ops if isinstance(op.time, Metric)]
    total = sum(seconds for seconds, _op in timed)
    timed.sort(key=lambda item: -item[0])
    for place, (seconds, op) in enumerate(timed[:_SLOWEST]):
        share = f"{seconds / total:>3.0%}" if total else ""
        count = f"{format_count(op.instructions.value):>6}" if isinstance(op.instructions, Metric) else ""
        kind = f"{_clean(op.type)[:28]} {_clean(op.dtype or '')[:12]}".strip()
        library = f", {_clean(main_library(op.kernels))}" if op.kernels else ""
        room = WIDTH - _LABEL - 3 - len(f"{share} {count} {kind} {library}")
        name = _clean(op.name)
        name = name if len(name) <= room else f"{name[: room // 2 - 1]}…{name[-(room // 2 - 1) :]}" if room > 8 else ""
        yield _row("slowest" if place == 0 else "", f"{share} {count} {kind} {name}{library}")


def main_library(kernels: Sequence[Kernel]) -> str:
    """The library that ran most of an operator's instructions, of those that are named."""
    by_library: Counter[str] = Counter()
    for kernel in kernels:
        if isinstance(kernel.instructions, Metric):
            by_library[kernel.library] += int(kernel.instructions.value)
    return by_library.most_common(1)[0][0]


def _verdict(result: Result) -> Iterator[Text]:
    verdict = result.verdict
    yield _heading("VERDICT")
    line = Text("  ")
    line.append(verdict.status.replace("_", " ").upper(), style=_STYLES[verdict.status])
    yield line
    for reason in verdict.reasons:
        yield _row("because", _clean(reason))
    if verdict.fix:
        yield _row("first", _clean(verdict.fix))
    for warning in result.warnings:
        yield _row("note", _clean(warning), style="dim")


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _row(label: str, text: str, style: str = "") -> Text:
    """A labelled line; what does not fit is broken at words and goes on below the text."""
    row = Text(f"  {label:<{_LABEL}}")
    words, room, column = text.split(" "), WIDTH - _LABEL - 3, 0
    for place, word in enumerate(words):
        if column and column + 1 + len(word) > room:
            row.append("\n" + " " * (_LABEL + 2))
            column = 0
        elif place:
            row.append(" ")
            column += 1
        row.append(word, style=style)
        column += len(word)
    return row


def _bytes(quantity: Quantity, *, interval: bool = False) -> str:
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {_clean(quantity.unavailable)}"
    high = quantity.high if interval and quantity.high and quantity.high > quantity.value * 1.005 else None
    most = f" (at most {format_size(high)})" if high else ""
    return f"{format_size(quantity.value)} {quantity.mode}{most}"


def _seconds(quantity: Quantity) -> str:
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {_clean(quantity.unavailable)}"
    return format_duration(quantity.value)


def _headroom(headroom: Quantity, available: Quantity) -> str:
    if isinstance(headroom, Unavailable) or isinstance(available, Unavailable):
        return _bytes(headroom)
    share = f" ({headroom.value / available.value:.0%})" if available.value > 0 else ""
    return f"{_bytes(headroom)}{share}"


def _risk(check: Check) -> str:
    return _RISK.get(check.status, f"unknown: {_clean(check.reason)}")


def _clean(text: str) -> str:
    """Untrusted text without control characters, so that no name can move the cursor or change colours."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
