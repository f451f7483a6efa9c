"""What the HTML report draws, as values for `charts`. Nothing known, nothing drawn: then a chart is None."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sandbox.measurements import Op
from sandbox.metrics import Metric, Quantity
from sandbox.result import Heap, OperatorMemory, Result
from sandbox.units import format_count, format_duration, format_size

from .charts import Bar, Chart, Series, bars_chart, points_chart
from .figures import brief, number, together

_BARS = 20
_PHASES = ("start", "import", "load", "allocate", "warmup", "inference")
"""In the order of a run; each has a role of its own, so that a phase has the same colour in all reports."""
_IN_SIGHT = 3.0
"""A limit so many times above the peak would press the curve flat: it is told in words instead."""


_FACTORS = {
    "GB": 1e9,
    "MB": 1e6,
    "kB": 1e3,
    "s": 1.0,
    "ms": 1e-3,
    "µs": 1e-6,
    "ns": 1e-9,
    "G": 1e9,
    "M": 1e6,
    "k": 1e3,
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A chart with what stands around it."""

    chart: Chart
    caption: str
    legend: tuple[tuple[str, str], ...] = ()
    """(role, name) of each series that the legend names."""


def memory_chart(result: Result) -> Drawing | None:
    """Resident memory over time, a series for each phase, with the peak, and the limit where it is in sight."""
    memory = result.memory
    samples = [(seconds, float(size)) for seconds, size in memory.timeline]
    if len(samples) < 2:
        return None
    end, most = samples[-1][0], max(size for _seconds, size in samples)
    series, legend = [], []
    for name, part in _by_phase(samples, result):
        role = f"phase-{_PHASES.index(name) if name in _PHASES else 0}"
        series.append(Series(name=name, role=role, points=part, fill=True))
        legend.append((role, name))
    peak, limit = number(memory.peak_rss), number(memory.limit)
    if peak is not None:
        most = max(most, peak)
        at = max(samples, key=lambda sample: sample[1])[0]
        series.append(Series(name="peak", role="peak", points=[(at, peak)], line=False, dots=True, labels=["peak"]))
        legend.append(("peak", f"peak, {format_size(peak)}"))
    caption = "Resident memory of the guest over the host's seconds of the run."
    if limit is not None and limit <= most * _IN_SIGHT:
        series.append(Series(name="limit", role="limit", points=[(0, limit), (end, limit)]))
        legend.append(("limit", f"limit, {format_size(limit)}"))
        most = max(most, limit)
    elif limit is not None:
        caption += f" The limit, {format_size(limit)}, is {limit / most:,.0f} times as high as this chart."
    chart = points_chart(
        series,
        label="Resident memory over time: "
        + (f"at most {format_size(peak)}" if peak is not None else "the peak is not known")
        + (f", with a limit of {format_size(limit)}" if limit is not None else ""),
        x_format=lambda seconds: f"{seconds:g} s",
        y_format=_ticks(most, format_size),
        y_range=(0, most * 1.05),
        x_range=(0, end),
    )
    return Drawing(chart=chart, caption=caption, legend=tuple(legend))


def heap_chart(heap: Heap) -> Drawing | None:
    """Bytes allocated over the heap run."""
    if len(heap.timeline) < 2:
        return None
    most = float(max(size for _at, size in heap.timeline))
    unit = {"i": "instructions", "ms": "milliseconds", "B": "bytes allocated"}.get(heap.timeline_unit, "time")
    chart = points_chart(
        [Series(name="heap", role="phase-1", points=[(at, float(size)) for at, size in heap.timeline], fill=True)],
        label=f"Heap in use over {unit}: at most {format_size(most)}",
        x_format=_ticks(heap.timeline[-1][0], format_count),
        y_format=_ticks(most, format_size),
        y_range=(0, most * 1.05),
        height=200,
    )
    return Drawing(chart=chart, caption=f"Heap in use, over {unit} of the heap run.")


def library_chart(heap: Heap) -> Drawing | None:
    """What each library held at the heap's peak."""
    bars = [
        Bar(label=site.library, value=site.size.value, text=brief(site.size))
        for site in heap.by_library[:_BARS]
        if isinstance(site.size, Metric) and site.size.value > 0
    ]
    if not bars:
        return None
    chart = _bars(bars, "Heap at its peak by library", "phase-1", format_size)
    return Drawing(chart=chart, caption="Heap at its peak, by the library that asked for it.")


def latency_chart(result: Result) -> Drawing | None:
    """Each time as a line from its low to its high end, with the budget."""
    latency = result.latency
    rows = [
        (name, metric)
        for name, metric in (
            ("mean", latency.mean),
            ("95th percentile", latency.p95),
            ("sustained", latency.sustained),
        )
        if isinstance(metric, Metric)
    ]
    budget = next((number(check.limit) for check in result.checks if check.id == "latency"), None)
    if not rows:
        return None
    series, legend = [], [("span", "interval"), ("value", "estimate")]
    top = len(rows)
    ends = [end for _name, metric in rows for end in (metric.low, metric.high, metric.value) if end is not None]
    for place, (name, metric) in enumerate(rows):
        height = float(top - place)
        low, high = metric.low or metric.value, metric.high or metric.value
        if high > low:
            series.append(Series(name=name, role="span", points=[(low, height), (high, height)]))
        series.append(
            Series(
                name=name, role="value", points=[(metric.value, height)], line=False, dots=True, labels=[brief(metric)]
            )
        )
    if budget is not None:
        ends.append(budget)
        series.append(Series(name="budget", role="limit", points=[(budget, 0.4), (budget, top + 0.6)]))
        legend.append(("limit", f"budget, {format_duration(budget)}"))
    said = "; ".join(f"{name} {brief(metric)}" for name, metric in rows)
    within = f", with a budget of {format_duration(budget)}" if budget is not None else ""
    chart = points_chart(
        series,
        label=f"Latency: {said}{within}",
        x_format=_ticks(max(ends), format_duration),
        y_format=str,
        y_labels=[(float(top - place), name) for place, (name, _metric) in enumerate(rows)],
        x_range=(0, max(ends) * 1.05),
        y_range=(0.4, top + 0.6),
        height=56 + 40 * top,
    )
    caption = f"Time of one inference, {rows[0][1].mode}."
    return Drawing(chart=chart, caption=caption, legend=tuple(legend))


def calibration_chart(result: Result) -> Drawing | None:
    """Predicted against measured time of the rows behind the calibration."""
    used = result.latency.calibration
    rows = [row for row in used.rows if min(row.measured_seconds, row.predicted_seconds) > 0] if used else []
    if used is None or not rows:
        return None
    times = [time for row in rows for time in (row.measured_seconds, row.predicted_seconds)]
    ends = (min(times) / 1.2, max(times) * 1.2)
    series = [
        Series(name="equal", role="equal", points=[(ends[0], ends[0]), (ends[1], ends[1])]),
        *(
            Series(name="10 %", role="tenth", points=[(ends[0], ends[0] * factor), (ends[1], ends[1] * factor)])
            for factor in (0.9, 1.1)
        ),
        Series(
            name="models",
            role="row",
            points=[(row.measured_seconds, row.predicted_seconds) for row in rows],
            line=False,
            dots=True,
            labels=[row.model for row in rows],
        ),
    ]
    legend = [("row", "one model"), ("equal", "prediction is right"), ("tenth", "10 % off")]
    mean = result.latency.mean
    here = isinstance(mean, Metric) and ends[0] <= mean.value <= ends[1]
    if isinstance(mean, Metric) and here:
        series.append(Series(name="this model", role="here", points=[(ends[0], mean.value), (ends[1], mean.value)]))
        legend.append(("here", f"this model, {format_duration(mean.value)}"))
    near = sum(abs(row.predicted_seconds / row.measured_seconds - 1) <= 0.1 for row in rows)
    chart = points_chart(
        series,
        label=f"Predicted against measured time of {len(rows)} models: {near} are within 10 %",
        x_format=_tick_time,
        y_format=_tick_time,
        x_range=ends,
        y_range=ends,
        logarithmic=True,
        x_ticks=_round_times(ends),
        y_labels=[(time, _tick_time(time)) for time in _round_times(ends)],
        height=340,
        x_title="measured on the board",
        y_title="predicted",
    )
    caption = (
        f"{len(rows)} models measured on a board, each predicted by a fit that had not seen its family: "
        f"{near} are within 10 %."
    )
    return Drawing(chart=chart, caption=caption, legend=tuple(legend))


def operator_charts(result: Result) -> tuple[tuple[str, Drawing], ...]:
    """The operators that take most, by time, by instructions, by memory: those of the three that are known."""
    ops, needs = result.ops, result.operator_memory
    known: list[tuple[str, Callable[[float], str], Iterable[tuple[Op | OperatorMemory, Quantity]]]] = [
        ("time", format_duration, [(op, op.time) for op in ops]),
        ("instructions", format_count, [(op, op.instructions) for op in ops]),
        ("memory", format_size, [(need, together(need)) for need in needs]),
    ]
    found = []
    for what, value_format, quantities in known:
        bars = [
            Bar(label=f"{op.index} {op.type} {op.name}".strip(), value=metric.value, text=brief(metric))
            for op, metric in quantities
            if isinstance(metric, Metric) and metric.value > 0
        ]
        bars.sort(key=lambda bar: -bar.value)
        if bars:
            shown = bars[:_BARS]
            caption = f"The {len(shown)} of {len(bars)} operators with most {what}."
            if what == "memory":
                caption += " By the model file: tensors alive in its step, and its temporaries."
            chart = _bars(shown, f"Operators by {what}; the table below has them all", "phase-1", value_format)
            found.append((what, Drawing(chart=chart, caption=caption)))
    return tuple(found)


def _bars(bars: Sequence[Bar], what: str, role: str, value_format: Callable[[float], str]) -> Chart:
    first = bars[0]
    return bars_chart(
        bars,
        label=f"{what}: most has {first.label}, {first.text}",
        role=role,
        value_format=_ticks(first.value, value_format),
    )


def _by_phase(
    samples: Sequence[tuple[float, float]], result: Result
) -> Iterable[tuple[str, list[tuple[float, float]]]]:
    """The samples in parts, each from its phase's start to the next one's first sample, so that the line is whole."""
    starts = [(phase.start.value, phase.name) for phase in result.memory.phases if isinstance(phase.start, Metric)] or [
        (samples[0][0], "run")
    ]
    if starts[0][0] > samples[0][0]:
        starts = [(samples[0][0], "start"), *starts]
    for place, (start, name) in enumerate(starts):
        until = starts[place + 1][0] if place + 1 < len(starts) else float("inf")
        part = [sample for sample in samples if start <= sample[0] < until]
        after = next((sample for sample in samples if sample[0] >= until), None)
        part += [after] if after else []
        if len(part) > 1:
            yield name, part


def _ticks(most: float, value_format: Callable[[float], str]) -> Callable[[float], str]:
    """A format for an axis that ends at ``most``: all in its unit, without needless digits."""
    unit = value_format(most).split(" ")[-1] if " " in value_format(most) else ""
    return lambda value: f"{value / _FACTORS.get(unit, 1.0):g} {unit}".strip()


def _tick_time(seconds: float) -> str:
    """A round time without needless digits: ``20 ms``."""
    return _ticks(seconds, format_duration)(seconds)


def _round_times(ends: tuple[float, float]) -> list[float]:
    """1, 2 and 5 of each power of ten between the ends; of a wide span only the powers."""
    powers = [10.0**power for power in range(-10, 6)]
    steps = (1, 2, 5) if ends[1] / ends[0] < 200 else (1,)
    return [step * power for power in powers for step in steps if ends[0] <= step * power <= ends[1]]
