"""The report as one HTML file: everything in it comes from the result document, and it opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from sandbox.compatibility_checks import cost_words
from sandbox.measurements import Op
from sandbox.metrics import Quantity
from sandbox.microcontroller.outcome import MicrocontrollerPart
from sandbox.parity import SIDES
from sandbox.result import Result

from .figures import Figure, brief, figure, number, together
from .html_charts import (
    calibration_chart,
    heap_chart,
    latency_chart,
    library_chart,
    memory_chart,
    operator_charts,
)
from .page import render_page
from .terminal import main_library

MODES: Mapping[str, str] = {
    "measured": "a real clock or counter on real hardware",
    "emulated": "counted or seen in the emulator that ran the device's own programs",
    "calibrated": "emulated, and turned into the device's units by a calibration with a known error",
    "predicted": "read or worked out from the model file, a specification or a setting; nothing was run for it",
    "unavailable": "there is no such number, and the reason stands in its place",
}
"""How a number can have been got."""


def render(result: Result) -> str:
    """The page."""
    return render_page(
        "report.html.j2",
        result=result,
        title=f"{PurePath(result.model.path).name} on {result.device.name}",
        model=PurePath(result.model.path).name,
        verdict=result.verdict.status.replace("_", " "),
        key_figures=_key_figures(result),
        checks=[(check, _cell(check.value), _cell(check.limit)) for check in result.checks],
        memory=_memory(result),
        phases=_phases(result),
        memory_chart=memory_chart(result),
        heap=_heap(result),
        heap_chart=heap_chart(result.heap),
        library_chart=library_chart(result.heap),
        latency=_latency(result),
        latency_chart=latency_chart(result),
        classes=_classes(result),
        calibration_chart=calibration_chart(result),
        operators=[_operator(op, memory) for op, memory in zip(result.ops, memories(result), strict=True)],
        operator_charts=operator_charts(result),
        facts=_facts(result),
        compatibility=result.compatibility,
        board=result.microcontroller,
        board_figures=_board(result.microcontroller) if result.microcontroller else [],
        in_cell=_cell,
        cost_words=cost_words,
        sides=SIDES,
        modes=[(mode, meaning) for mode, meaning in MODES.items()],
        brief=brief,
    )


def memories(result: Result) -> Sequence[Quantity | None]:
    """What each operator as executed takes by the model file; None where no operator of the file is known to be it."""
    needs = result.operator_memory
    if len(needs) == sum(op.status != "outside" for op in result.ops):  # nothing was joined: the file's order is kept
        in_order = (need if need.type == op.type else None for op, need in zip(result.ops, needs, strict=False))
        found = [together(need) if need else None for need in in_order]
        return [*found, *(None for _ in result.ops[len(found) :])]
    by_name = {need.name: together(need) for need in needs if need.name}
    return [by_name.get(op.name) for op in result.ops]


def _key_figures(result: Result) -> list[Figure]:
    memory, latency, board = result.memory, result.latency, result.microcontroller
    if board is None:
        first = [figure("peak memory", memory.peak_rss), figure("available", memory.available)]
        first.append(figure("headroom", memory.headroom))
    else:
        first = [figure("arena", arena.minimum) for arena in board.arenas[:1]]
        first += [figure("flash", board.flash.total), figure("flash available", board.flash.available)]
    return [
        *first,
        figure("latency", latency.mean),
        figure("throughput", latency.throughput),
        figure("instructions", latency.counts.instructions),
    ]


def _memory(result: Result) -> list[Figure]:
    memory = result.memory
    return [
        figure("peak", memory.peak_rss),
        figure("of it anonymous", memory.anonymous),
        figure("of it pages of files", memory.file_backed),
        figure("runtime without a model", memory.runtime_baseline),
        figure("weights in the file", memory.weights),
        figure("available on the device", memory.available),
        figure("limit in this run", memory.limit),
        figure("headroom", memory.headroom),
        figure("emulator's own, in none of these", memory.emulator_overhead),
    ]


def _phases(result: Result) -> list[tuple[str, Figure, Figure, Figure]]:
    return [
        (
            phase.name,
            figure("start", phase.start),
            figure("at its end", phase.rss_at_end),
            figure("at most", phase.peak_rss),
        )
        for phase in result.memory.phases
    ]


def _heap(result: Result) -> list[Figure]:
    heap = result.heap
    return [
        figure("peak", heap.peak),
        *(figure(f"held by {share.owner}", share.size) for share in heap.owners),
        figure("allocator's overhead", heap.overhead),
        figure("fragmentation", heap.fragmentation),
        figure("calls of the allocator", heap.allocator_calls),
        figure("calls in one inference", heap.inference_calls),
    ]


def _latency(result: Result) -> list[Figure]:
    latency, counts = result.latency, result.latency.counts
    return [
        figure("mean", latency.mean),
        figure("95th percentile", latency.p95),
        figure("sustained", latency.sustained),
        figure("throughput", latency.throughput),
        figure("energy, whole board", latency.energy),
        figure("instructions", counts.instructions),
        figure("critical path", counts.critical_path),
        *(figure(f"thread {each.thread}", each.instructions) for each in counts.threads if len(counts.threads) > 1),
    ]


def _classes(result: Result) -> list[tuple[str, int, float]]:
    """Classes of instructions: name, how many, share in percent; the most frequent first."""
    classes = result.latency.counts.classes
    total = sum(classes.values())
    ranked = sorted(classes.items(), key=lambda item: -item[1])
    return [(name.replace("_", " "), count, 100 * count / total) for name, count in ranked if count]


def _operator(op: Op, memory: Quantity | None) -> dict[str, object]:
    return {
        "op": op,
        "time": _cell(op.time),
        "instructions": _cell(op.instructions),
        "memory": _cell(memory),
        "library": main_library(op.kernels) if op.kernels else "",
        "shape": "×".join(map(str, op.shape or ())),
    }


def _cell(quantity: Quantity | None) -> tuple[float | None, str, str]:
    """Of a table: what to sort by, what to read, and why it is empty."""
    return number(quantity), brief(quantity), "" if quantity is None else figure("", quantity).source


def _board(board: MicrocontrollerPart) -> list[Figure]:
    """Arenas, flash, blocks of RAM and work of a microcontroller."""
    found = []
    for arena in board.arenas:
        where = f"arena on the {arena.where}, {arena.kernels}"
        found += [figure(f"{where}: least", arena.minimum), figure(f"{where}: recorded", arena.recorded)]
        found += [figure(f"{where}: head", arena.head), figure(f"{where}: tail", arena.tail)]
    flash = board.flash
    found += [figure("flash: model", flash.model), figure("flash: code", flash.code)]
    found += [figure("flash: both", flash.total), figure("flash: available", flash.available)]
    for block in board.ram:
        found += [figure(f"{block.banks}: size", block.size), figure(f"{block.banks}: used", block.used)]
        found += [figure(f"{block.banks}: arena in it", block.arena)]
    return [
        *found,
        figure("multiply-accumulates", board.macs),
        figure("time between operators", board.interpreter_time),
    ]


def _facts(result: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    """What ran on what, with versions and digests."""
    model, device, runtime, engine = result.model, result.device, result.runtime, result.engine
    used = result.latency.calibration
    tensors = [
        (kind, f"{tensor.name} {tensor.dtype} [{', '.join('?' if n is None else str(n) for n in tensor.shape)}]")
        for kind, listed in (("input", model.inputs), ("output", model.outputs))
        for tensor in listed
    ]
    facts: list[tuple[str, list[tuple[str, str | None]]]] = [
        (
            "Model",
            [
                ("file", model.path),
                ("format", model.format),
                ("size", f"{model.size_bytes:,} bytes"),
                ("sha256", model.sha256),
                *tensors,
            ],
        ),
        (
            "Device",
            [
                ("name", device.name),
                ("id", device.id),
                ("core", f"{device.cores} × {device.core}"),
                ("RAM", f"{device.ram_bytes:,} bytes"),
                ("pages", f"{device.page_size_bytes:,} bytes" if device.page_size_bytes else None),
            ],
        ),
        ("Image", [("id", result.image.id), ("title", result.image.title), ("digest", result.image.digest)]),
        (
            "Runtime",
            [
                ("build", f"{runtime.name} {runtime.version}"),
                ("threads", str(runtime.threads)),
                ("kernels", ", ".join(runtime.kernels) or "the runtime's own"),
                ("Python", runtime.python),
                ("NumPy", runtime.numpy),
            ],
        ),
        (
            "Emulator",
            [
                ("version", engine.emulator or "none: the programs ran on this host's own core"),
                ("CPU", device.emulated_cpu),
                ("digest", engine.emulator_digest),
                ("engine", engine.name),
                ("isolation", engine.isolation),
                ("memory limit by", engine.memory_limit),
            ],
        ),
        (
            "Calibration",
            [
                ("id", used.id if used else "none was applied"),
                ("mean error", f"{used.error:.1%} on families it had not seen" if used and used.error else None),
                ("sha256", used.digest if used else None),
            ],
        ),
        (
            "Host",
            [(key.replace("_", " "), _said(value)) for key, value in sorted(result.host.items())],
        ),
    ]
    return [(title, [(key, value) for key, value in rows if value]) for title, rows in facts]


def _said(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
