"""The build's gaps for people: what would be installed, what its files need, which operators it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from sandbox.compatibility_checks import cost_words
from sandbox.compatibility_result import Accelerator, Compatibility, OperatorFinding
from sandbox.result import Check

from .layout import clean, heading, row

_MARKS = {"pass": "fits", "warn": "open", "fail": "FAILS", "unknown": "unknown", "skipped": "skipped"}
_NAMES = {"abi": "install", "cpu": "core", "operators": "operators"}
_PACKED = {"int4", "uint4", "int2", "uint2", "float4e2m1"}
_SHOWN = 6


def build_lines(found: Compatibility, checks: Sequence[Check]) -> Iterator[Text]:
    """The section, by the checks and what is behind them."""
    yield heading("BUILD")
    for check in checks:
        if check.id in _NAMES:
            style = "bold red" if check.status == "fail" else ""
            yield row(_NAMES[check.id], f"{_MARKS[check.status]}: {clean(check.reason)}", style=style)
    yield from _gaps(found)
    packed = [each for each in found.weight_types if each in _PACKED or each.startswith("sparse ")]
    if packed:
        yield row("weights", clean(f"{', '.join(packed)}: an operator unpacks them only from the version that says so"))
    for accelerator in found.accelerators:
        yield from _accelerator(accelerator)
    for table in found.tables:
        yield row("", clean(f"{table.name}: {table.source}, {table.date}"), style="dim")


def _gaps(found: Compatibility) -> Iterator[Text]:
    """Operators that do not run in the fastest way, by kind."""
    kinds: dict[tuple[str, str, str | None, str], list[OperatorFinding]] = {}
    for each in found.operators:
        if each.status not in {"native", "delegated"}:
            kinds.setdefault((each.status, each.type, each.dtype, each.detail), []).append(each)
    for (status, kind, dtype, detail), same in sorted(kinds.items(), key=lambda item: -len(item[1]))[:_SHOWN]:
        words = f"{len(same)} {kind} {dtype or ''}".strip()
        why = "; ".join(filter(None, (detail, cost_words(same))))
        yield row("", clean(f"{words}: {status.replace('_', ' ')}, {why}" if why else f"{words}: {status}"))
    if len(kinds) > _SHOWN:
        yield row("", f"and {len(kinds) - _SHOWN} more kinds", style="dim")


def _accelerator(found: Accelerator) -> Iterator[Text]:
    total = found.mapped + found.conditional + found.fallback
    words = f"{found.mapped} of {total} operators would map, {found.conditional} on conditions, {found.fallback} not"
    yield row("with", clean(f"{found.name}: {words}"))
    for each in [each for each in found.operators if each.status != "mapped"][:_SHOWN]:
        yield row("", clean(f"{each.count} {each.type} {each.dtype or ''}: {each.status}, {each.detail}"), style="dim")
    yield row("", clean(found.note), style="dim")
