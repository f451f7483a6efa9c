"""The report of `ceiling` for people: the least memory of every variant, and what each limit led to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from rich.text import Text

from sandbox.ceiling_result import CeilingResult, Trial, Variant
from sandbox.metrics import Metric
from sandbox.units import format_size

from .layout import STYLES, clean, heading, in_bytes, printed, row


def render(result: CeilingResult, *, colour: bool = False) -> str:
    """The report as text."""
    return printed(_lines(result), colour=colour)


def _lines(result: CeilingResult) -> Iterator[Text]:
    yield Text(f"{clean(PurePath(result.model.path).name)} on {clean(result.device.name)}", style="bold")
    build = f"{result.runtime}, {result.image.id}, {result.emulator or 'no emulator'}"
    yield Text(clean(build), style="dim")
    for variant in result.variants:
        yield from _variant(variant)
    yield heading("VERDICT")
    line = Text("  ")
    line.append(result.verdict.status.replace("_", " ").upper(), style=STYLES[result.verdict.status])
    yield line
    yield row("available", in_bytes(result.available))
    for reason in result.verdict.reasons:
        yield row("because", clean(reason))
    if result.verdict.fix:
        yield row("first", clean(result.verdict.fix))
    for warning in result.warnings:
        yield row("note", clean(warning), style="dim")


def _variant(variant: Variant) -> Iterator[Text]:
    words = [f"{variant.threads} THREAD{'S' if variant.threads > 1 else ''}"]
    words += [f"{clean(name)}={','.join(map(str, shape))}" for name, shape in variant.shapes.items()]
    yield heading(" ".join(words))
    least = in_bytes(variant.minimum)
    if isinstance(variant.minimum, Metric) and variant.minimum.low:
        least += f"; {format_size(variant.minimum.low)} are not enough"
    yield row("least", least)
    yield row("peak", in_bytes(variant.trials[0].peak) + " without a limit")
    for trial in sorted(variant.trials[1:], key=_limit):
        style = STYLES["pass" if trial.fits else "fail"]
        yield row(format_size(_limit(trial)), clean(trial.outcome), style=style)


def _limit(trial: Trial) -> float:
    return trial.limit.value if isinstance(trial.limit, Metric) else 0.0
