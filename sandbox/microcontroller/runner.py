"""Level 3: our own runner firmware with the user's TFLM runs the model on the emulated core.

images/cortex_m/report.h has the layout of what goes in and comes out.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import DataFileError, RunError
from sandbox.metrics import Metric, Quantity, Unavailable

from .board import Emulation, Microcontroller
from .elf import Firmware, read_firmware
from .findings import findings
from .job import FirmwareEngine, FirmwareJob, FirmwareRun, Span
from .runner_record import OperatorCount, RunnerRecord, TensorBytes
from .tflm import Library, names_in_need, names_lacking
from .toolchain import MAPS, STACK_BYTES, Built, IncompleteLibraryError, MemoryMap, build

_MAGIC = 0x314E5552
_TENSORS, _OPERATORS, _LOG, _TAG = 16, 1024, 4096, 32
_HEADER = struct.Struct(f"<5I{2 * _TENSORS}I{2 * _TENSORS}I2I{_LOG}s")
_REQUEST = struct.Struct(f"<6I{_TENSORS}I")
_STATES = {
    1: "set up",
    2: "given a damaged request",
    3: "given a model of another schema version",
    4: "registering operators",
    5: "run",
    6: "allocating tensors",
    7: "comparing the model's inputs",
    8: "run",
    9: "finished",
}
_FINISHED = 9
STEP_BYTES = 16
"""TFLM aligns its arena so: no size between counts."""


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """What all trials share."""

    firmware: Firmware
    board: Microcontroller
    emulation: Emulation
    engine: FirmwareEngine
    places: MemoryMap
    model: bytes
    inputs: tuple[bytes, ...]
    run_dir: Path
    timeout_seconds: float
    cancel: threading.Event


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run in an arena of a given size."""

    size_bytes: int
    state: int
    used_bytes: int
    log: str
    tags: tuple[str, ...]
    outputs: tuple[bytes, ...]
    run: FirmwareRun
    job: FirmwareJob

    @property
    def good(self) -> bool:
        """Whether the model ran to its end, and nothing was touched beside the arena."""
        return self.state == _FINISHED and self.run.ended == "stop" and not self.run.strays

    def why(self) -> str:
        """Why it was not, in a sentence."""
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        wrong = [finding.text for finding in findings(self.job, self.run, None, None)]
        said = "; ".join(lines[:3] or wrong[:2]) or "without a word"
        return f"TFLM failed while {_STATES.get(self.state, 'starting')}: {said}"


def run_model(
    *,
    library: Library,
    board: Microcontroller,
    emulation: Emulation,
    engine: FirmwareEngine,
    model: bytes,
    operators: Sequence[str],
    inputs: tuple[bytes, ...],
    run_dir: Path,
    timeout_seconds: float,
    cancel: threading.Event,
) -> RunnerRecord:
    """Build the runner, find the smallest arena, count. ``operators``: the types that the model uses.

    Raises `HostError` without a compiler, `DataFileError` for a library that cannot be linked or lacks a kernel.
    """
    lacking = names_lacking(library, operators)
    if lacking:
        raise DataFileError(
            f"{library.archive} has no kernel for {', '.join(lacking)}, which the model needs",
            hint="build the library with these kernels, or replace the operators in the model",
        )
    places = MAPS[board.cpu.core]
    own = [operator for operator in library.operators if operator.name in set(operators)]
    few = build(library, board.cpu, own, run_dir / "own")
    every, whole = _with_all(library, board, few, run_dir / "all")
    firmware = read_firmware(every.elf)
    setting = _Setting(
        firmware=firmware,
        board=board,
        emulation=_placed(emulation, places),
        engine=engine,
        places=places,
        model=model,
        inputs=inputs,
        run_dir=run_dir,
        timeout_seconds=timeout_seconds,
        cancel=cancel,
    )
    largest = (places.ram.end - _arena_start(firmware)) & ~(STEP_BYTES - 1)
    first = trial(setting, largest, look=False)
    smallest = search(setting, first) if first.good else None
    best = smallest or first
    profiled = trial(setting, best.size_bytes, profile=True) if best.good else None
    return RunnerRecord(
        library=library.version,
        kernels=library.kernels,
        architecture=f"Arm{library.architecture}, {library.float_abi}-float ABI",
        emulator=best.run.emulator,
        engine=emulation.engine,
        machine=best.run.machine,
        differs=best.run.differs,
        failure=None if best.good else first.why(),
        minimum_bytes=best.size_bytes if best.good else None,
        used_bytes=first.used_bytes or None,
        instructions=_between(best.run, "begin", "end") if best.good else None,
        operators=_operators(profiled) if profiled is not None else (),
        outputs=tuple(
            TensorBytes(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for data in best.outputs
        ),
        own_flash=_flash(read_firmware(few.elf), library, "only the model's operators"),
        all_flash=whole,
        not_linked=() if every is few else tuple(o.name for o in library.operators if o not in every.operators),
        ram_without_arena_bytes=_arena_start(firmware) - places.ram.start - STACK_BYTES,
        stack_bytes=_stack_used(firmware, best.run),
    )


def _with_all(library: Library, board: Microcontroller, few: Built, folder: Path) -> tuple[Built, Quantity]:
    """The runner with every operator that can be linked, and its flash; ``few`` where that tells nothing new."""
    operators = library.operators
    try:
        try:
            every = build(library, board.cpu, operators, folder)
        except IncompleteLibraryError as error:  # the model's own operators could be linked
            lost = names_in_need(library, error.symbols)
            operators = tuple(operator for operator in operators if operator.name not in lost)
            if not lost or not set(few.operators) <= set(operators):
                raise
            every = build(library, board.cpu, operators, folder)
    except DataFileError as error:
        return few, Unavailable(unavailable=error.message)
    return every, _flash(read_firmware(every.elf), library, f"{len(operators)} operators")


def search(setting: _Setting, first: Trial) -> Trial:
    """The smallest arena that works, exact to `STEP_BYTES`: what TFLM says it used is only where the search begins.

    By success, not by TFLM's messages, which do not say how much is missing (tflite-micro#1249).
    """
    tried = {first.size_bytes: first}

    def works(size: int) -> bool:
        if size not in tried:
            tried[size] = trial(setting, size)
        return tried[size].good

    guess = min(first.size_bytes, -(-max(first.used_bytes, STEP_BYTES) // STEP_BYTES) * STEP_BYTES)
    step, good, bad = STEP_BYTES, first.size_bytes, 0
    at = guess
    while at < good and not works(at):
        bad, at, step = at, min(good, at + step), step * 2
    good = min(good, at)
    step = STEP_BYTES
    while bad == 0 and good - step > 0:
        if not works(good - step):
            bad = good - step
        else:
            good, step = good - step, step * 2
    while good - bad > STEP_BYTES:
        middle = (good + bad) // 2 // STEP_BYTES * STEP_BYTES
        good, bad = (middle, bad) if works(middle) else (good, middle)
    return tried[good]


def trial(setting: _Setting, size: int, *, profile: bool = False, look: bool = True) -> Trial:
    """Run the model once in an arena of that size; without ``look`` its outputs are left where they are, in the arena,
    which is megabytes large at first."""
    firmware, places = setting.firmware, setting.places
    arena = _arena_start(firmware)
    at = places.model.start + len(setting.model)
    loads, addresses = {places.model.start: setting.model}, []
    for data in setting.inputs:
        at = (at + 15) & ~15
        loads[at] = data
        addresses.append(at)
        at += len(data)
    if at > places.model.end:
        raise RunError(f"the model and its inputs do not fit into the {places.machine}'s memory for them")
    request = _REQUEST.pack(
        _MAGIC, places.model.start, arena, size, int(profile), len(addresses), *addresses,
        *[0] * (_TENSORS - len(addresses)),
    )  # fmt: skip
    loads[_symbol(firmware, "runner_request_block")] = request
    folder = setting.run_dir / f"trial-{size}{'-operators' if profile else ''}"
    folder.mkdir()
    marks = {
        "begin": "runner_begin",
        "end": "runner_end",
        "operator": "runner_operator_begin",
        "operator end": "runner_operator_end",
        "done": "runner_done",
    }
    ram = Span(start=places.ram.start, end=arena + size)
    job = FirmwareJob(
        firmware=firmware,
        board=setting.board,
        emulation=setting.emulation,
        run_dir=folder,
        timeout_seconds=setting.timeout_seconds,
        marks={name: _symbol(firmware, symbol) & ~1 for name, symbol in marks.items()},
        stop_at=_symbol(firmware, "runner_done") & ~1,
        allowed=(places.code, places.model, ram, Span(start=0xE000_0000, end=0x1_0000_0000)),
        painted=(ram if look else Span(start=ram.start, end=arena),),
        loads=loads,
    )
    run = setting.engine.run(job, setting.cancel)
    return _read(firmware, job, run, size)


def _read(firmware: Firmware, job: FirmwareJob, run: FirmwareRun, size: int) -> Trial:
    ram = run.ram or {}

    def content(address: int, count: int) -> bytes:
        for start, data in ram.items():
            if start <= address and address + count <= start + len(data):
                return data[address - start : address - start + count]
        return b""

    at = _symbol(firmware, "runner_report_block")
    raw = content(at, _HEADER.size + _OPERATORS * _TAG)
    values: tuple[Any, ...] = (0,) * (7 + 4 * _TENSORS) + (b"",)
    if len(raw) >= _HEADER.size:
        values = _HEADER.unpack_from(raw)
    magic, state, used, _inputs, outputs = values[:5]
    if magic != _MAGIC:
        state = used = outputs = 0
    places = values[5 + 2 * _TENSORS : 5 + 4 * _TENSORS]
    events, log_bytes, log = values[-3:]
    tags = [raw[_HEADER.size + i * _TAG :][:_TAG].split(b"\0")[0] for i in range(min(events, _OPERATORS))]
    return Trial(
        size_bytes=size,
        state=state,
        used_bytes=used,
        log=log[:log_bytes].decode(errors="replace"),
        tags=tuple(tag.decode(errors="replace") for tag in tags),
        outputs=tuple(content(places[2 * i], places[2 * i + 1]) for i in range(min(outputs, _TENSORS))),
        run=run,
        job=job,
    )


def _placed(emulation: Emulation, places: MemoryMap) -> Emulation:
    """The board's emulation with the memory that the runner is linked for."""
    if emulation.engine != "qemu-system":
        return emulation
    return Emulation(engine=emulation.engine, model=places.machine, differs=emulation.differs)


def _operators(profiled: Trial) -> tuple[OperatorCount, ...]:
    counts, begun = [], None
    for mark, count in profiled.run.passes:
        if mark == "operator":
            begun = count
        elif mark == "operator end" and begun is not None:
            counts.append(count - begun)
            begun = None
    if len(counts) > len(profiled.tags):  # those of Prepare have no tag any more: only the last belong to Invoke
        counts = counts[-len(profiled.tags) :] if profiled.tags else []
    return tuple(OperatorCount(type=tag, instructions=n) for tag, n in zip(profiled.tags, counts, strict=False))


def _between(run: FirmwareRun, begin: str, end: str) -> int | None:
    passes: Mapping[str, int] = dict(run.passes)
    return passes[end] - passes[begin] if begin in passes and end in passes else None


def _flash(firmware: Firmware, library: Library, what: str) -> Quantity:
    stored = sum(section.size_bytes for section in firmware.sections if section.stored_at is not None)
    source = f"runner with {what} of {library.archive.name}, linked with unused code left out"
    return Metric(value=stored, unit="byte", mode="measured", source=source)


def _stack_used(firmware: Firmware, run: FirmwareRun) -> int | None:
    low, high = firmware.value("__StackLimit"), firmware.value("__StackTop")
    for start, data in (run.ram or {}).items():
        if low is not None and high is not None and start <= low and high <= start + len(data):
            part = data[low - start : high - start]
            return len(part.lstrip(b"\xa5"))
    return None


def _arena_start(firmware: Firmware) -> int:
    return _symbol(firmware, "runner_arena")


def _symbol(firmware: Firmware, name: str) -> int:
    value = firmware.value(name)
    if value is None:
        raise RunError(f"the runner has no symbol {name}: the toolchain left it out")
    return value
