"""The order of ``profile --firmware``: read the program, hold it against the board, run it, judge."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.record import Device
from sandbox.result import Check, Tool, Verdict
from sandbox.units import format_count, format_size

from .board import Emulation, Microcontroller
from .elf import Firmware, Section
from .findings import findings, not_modelled
from .firmware import Bounds, Layout, layout, memory_spans, misfits, ram_spans, stack_outside
from .firmware_result import Engine, Finding, FirmwareResult, Part, Place, Program, Reserved, Run
from .job import PAINT, FirmwareEngine, FirmwareJob, FirmwareRun

BEGIN, END = "bench_begin", "bench_end"
"""What the symbols round the measured part are called, where the user names no others."""

_MARGINAL_STACK = 0.9
_MOST_SYMBOLS = 20
_GAP_BYTES = 1024
"""Below so much untouched stack nothing more is taken for stack, where no lower end is known."""


@dataclass(frozen=True, kw_only=True)
class FirmwareRequest:
    """What the user asked for."""

    firmware: Firmware
    board: Microcontroller
    model: bytes | None
    begin: str | None
    end: str | None
    timeout_seconds: float


def profile_firmware(
    request: FirmwareRequest, choice: tuple[Emulation, FirmwareEngine] | str, run_dir: Path, cancel: threading.Event
) -> FirmwareResult:
    """Judge the program by its file and, where an engine can, by a run. ``choice`` is the engine or why there is none.

    Raises `UsageError` for symbols that the program has not.
    """
    firmware, board = request.firmware, request.board
    placed = layout(firmware, board)
    marks = _marks(request)
    checks = [*_abi(firmware, board), *_room(placed, firmware, board)]
    job = run = None
    if any(check.status == "fail" for check in checks):
        checks.append(Check(id="run", status="skipped", reason="what cannot start on the board was not run"))
    elif isinstance(choice, str):
        checks.append(Check(id="run", status="unknown", reason=choice))
    else:
        emulation, engine = choice
        job = FirmwareJob(
            firmware=firmware,
            board=board,
            emulation=emulation,
            run_dir=run_dir,
            timeout_seconds=request.timeout_seconds,
            marks=marks,
            stop_at=marks.get("end"),
            allowed=memory_spans(board),
            painted=ram_spans(board),
        )
        refused = engine.refusal(job)
        if refused is not None:
            checks.append(Check(id="run", status="unknown", reason=refused, fix=_other_engine(board, emulation)))
            job = None
        else:
            run = engine.run(job, cancel)
    used = None if run is None else stack_used(placed.stack, run)
    found: tuple[Finding, ...] = ()
    if job is not None and run is not None:
        found = tuple(findings(job, run, placed.stack, used))
        checks += _run_checks(job, run, found, placed, used)
    return FirmwareResult(
        tool=Tool(version=version("edge-sandbox")),
        device=Device(
            id=board.id,
            name=board.name,
            core=board.cpu.core,
            cores=1,
            emulated_cpu=run.machine if run else board.cpu.core,
            page_size_bytes=None,
            ram_bytes=board.ram_bytes,
        ),
        program=_program(firmware, request.model),
        flash=_place(firmware, placed.flash, sum(f.size_bytes for f in board.flash), flash=True),
        ram=_place(firmware, placed.ram, board.ram_bytes, flash=False),
        stack=_stack(placed.stack, used, run),
        heap=_heap(placed.heap),
        arena=_bytes(placed.arena.size_bytes, "the symbol's size") if placed.arena else _no_arena(firmware),
        arena_symbol=placed.arena.name if placed.arena else None,
        engine=_engine(run, job),
        run=None if run is None else _run(run, found, marks),
        checks=tuple(checks),
        verdict=judge(checks),
    )


def judge(checks: Sequence[Check]) -> Verdict:
    """One failed check: not ready. Else one unanswered: unknown. Else one warning: marginal."""
    for status, verdict in (("fail", "not_ready"), ("unknown", "unknown"), ("warn", "marginal")):
        named = [check for check in checks if check.status == status]
        if named:
            reasons = tuple(f"{check.id}: {check.reason}" for check in named)
            return Verdict(status=verdict, reasons=reasons, fix=next((c.fix for c in named if c.fix), None))
    return Verdict(status="ready", reasons=tuple(f"{c.id}: {c.reason}" for c in checks if c.id == "run"))


def stack_used(stack: Bounds | None, run: FirmwareRun) -> int | None:
    """Bytes from the stack's top down to the lowest that is not as it was painted; None when that cannot be seen."""
    for start, content in (run.ram or {}).items():
        if stack is None or not start <= stack.start < stack.end <= start + len(content):
            continue
        part = content[stack.start - start : stack.end - start]
        if stack.source.startswith("the gap"):  # a heap may have grown from below
            gap = part.rfind(bytes([PAINT]) * _GAP_BYTES)
            return len(part) - (gap + _GAP_BYTES if gap >= 0 else 0)
        return len(part) - (len(part) - len(part.lstrip(bytes([PAINT]))))
    return None


def _marks(request: FirmwareRequest) -> dict[str, int]:
    found = {}
    for role, asked, usual in (("begin", request.begin, BEGIN), ("end", request.end, END)):
        address = _address(request.firmware, asked) if asked else request.firmware.value(usual)
        if address is not None:
            found[role] = address & ~1
    return found


def _address(firmware: Firmware, name: str) -> int:
    value = firmware.value(name)
    if value is not None:
        return value
    if name.lower().startswith("0x"):
        try:
            return int(name, 16) & 0xFFFF_FFFF
        except ValueError:
            pass
    if not firmware.symbols:
        raise UsageError(
            f"{firmware.path} has no symbols, so none is called {name}",
            hint="give an address like 0x8000123, or the file from before it was stripped",
        )
    raise UsageError(f"{firmware.path} has no symbol {name}", hint="see its symbols with nm; C++ names are mangled")


def _abi(firmware: Firmware, board: Microcontroller) -> list[Check]:
    wrong = tuple(misfits(firmware, board))
    if wrong:
        fix = f"compile with -mcpu={board.cpu.core.replace('m0+', 'm0plus')}"
        fix += " -mfloat-abi=soft" if board.cpu.fpu == "none" else ""
        return [Check(id="abi", status="fail", reason="; ".join(wrong), fix=fix)]
    if firmware.architecture is None:
        reason = "the file has no build attributes, so nothing says which core it was compiled for"
        return [Check(id="abi", status="warn", reason=reason)]
    return [
        Check(
            id="abi",
            status="pass",
            reason=f"Arm{firmware.architecture}, {firmware.float_abi}-float ABI: the {board.cpu.core} runs it",
        )
    ]


def _room(placed: Layout, firmware: Firmware, board: Microcontroller) -> list[Check]:
    checks = []
    flash_bytes = sum(flash.size_bytes for flash in board.flash)
    fix = f"link with the memory map of {board.id}: see edge-sandbox devices show {board.id}"
    if placed.outside:
        reason = "; ".join(placed.outside[:3])
        if len(placed.outside) > 3:
            reason += f"; and {len(placed.outside) - 3} more"
        own = "; external memory that is soldered to your board belongs into a device spec of your own"
        checks.append(Check(id="flash", status="fail", reason=reason, fix=fix + own))
    else:
        reason = f"{format_size(placed.flash_bytes)} of {format_size(flash_bytes)}"
        checks.append(Check(id="flash", status="pass", reason=reason))
    wrong = stack_outside(firmware, board)
    if wrong is not None:
        return [*checks, Check(id="memory", status="fail", reason=wrong, fix=fix)]
    reason = f"{format_size(placed.ram_bytes)} of {format_size(board.ram_bytes)} before the program starts"
    checks.append(Check(id="memory", status="pass", reason=reason))
    return checks


def _run_checks(
    job: FirmwareJob, run: FirmwareRun, found: Sequence[Finding], placed: Layout, used: int | None
) -> list[Check]:
    checks, stack, minimum = [], placed.stack, placed.stack_minimum
    if found:
        excuse = not_modelled(job, run)
        reason = "; ".join(finding.text for finding in found[:3])
        if excuse is not None and len(found) == 1:
            return [
                Check(
                    id="run",
                    status="unknown",
                    reason=f"{reason}. {excuse}",
                    fix=f"{_other_engine(job.board, job.emulation) or 'measure on the board'}, or leave that part out",
                )
            ]
        fix = _FIXES[found[0].kind]
        checks.append(Check(id="run", status="fail", reason=reason, fix=fix))
    elif run.ended == "exit" and run.exit_code != 0:
        checks.append(Check(id="run", status="fail", reason=f"it ended with status {run.exit_code}"))
    else:
        how = "ended by itself with status 0" if run.ended == "exit" else "reached the end symbol"
        checks.append(Check(id="run", status="pass", reason=f"{how}, without a fault or a stray access"))
    if stack is not None and used is not None and not found and used > _MARGINAL_STACK * stack.size_bytes:
        reason = f"the stack used {used} of its {stack.size_bytes} bytes"
        checks.append(Check(id="memory", status="warn", reason=reason, fix="give the stack more room"))
    elif minimum is not None and used is not None and not found and used > minimum:
        reason = f"the stack used {used} bytes, and the linker script keeps only {minimum} free for it"
        checks.append(Check(id="memory", status="warn", reason=reason, fix="raise _Min_Stack_Size, or a heap meets it"))
    return checks


_FIXES = {
    "fault": "look at that place in the program; docs/howto/microcontroller.md has what each fault means",
    "stack overflow": "give the stack more room in the linker script, or take large arrays off it",
    "out of range": "look for an index or a pointer that leaves its array; check the linker script's memory sizes",
    "write to flash": "only a flash driver may write there: look for a pointer to a constant",
    "lockup": "install a fault handler with a stack of its own, and see what faults first",
    "hang": "give it longer with --timeout, name where it may stop with --end, or look for a peripheral that it waits "
    "for: the emulator has none",
    "flood": "look for a loop round a print",
    "abort": "see stderr.txt in the run folder (--run-dir)",
    "reset": "see why it resets: a fault handler, a failed start, a boot loader; or name with --end where it may stop",
}


def _other_engine(board: Microcontroller, emulation: Emulation) -> str | None:
    other = next((e.engine for e in board.emulator if e.engine != emulation.engine), None)
    return f"use --engine {other}" if other else None


def _program(firmware: Firmware, model: bytes | None) -> Program:
    return Program(
        path=str(firmware.path),
        sha256=firmware.sha256,
        size_bytes=firmware.size_bytes,
        architecture=firmware.architecture,
        cpu=firmware.cpu,
        float_abi=firmware.float_abi,
        stripped=not firmware.symbols,
        holds_model=None if model is None else any(model in segment.data for segment in firmware.segments),
    )


def _place(firmware: Firmware, sections: Sequence[Section], size: int, *, flash: bool) -> Place:
    source = "the ELF file's sections"
    largest = sorted((s for s in firmware.symbols if s.size_bytes), key=lambda s: (-s.size_bytes, s.name))
    spans = [(s.address, s.address + s.size_bytes) for s in sections if not (flash and s.writable)]
    inside = [s for s in largest if any(low <= s.address < high for low, high in spans)]
    return Place(
        used=_bytes(sum(section.size_bytes for section in sections), source),
        available=_bytes(size, "the board's spec"),
        sections=tuple(
            Part(
                name=s.name,
                address=s.stored_at if flash and s.stored_at is not None else s.address,
                size=_bytes(s.size_bytes, source),
            )
            for s in sections
        ),
        symbols=tuple(
            Part(name=s.name, address=s.address, size=_bytes(s.size_bytes, "the ELF file's symbols"))
            for s in inside[:_MOST_SYMBOLS]
        ),
    )


def _stack(stack: Bounds | None, used: int | None, run: FirmwareRun | None) -> Reserved:
    if stack is None:
        why = Unavailable(unavailable="the initial stack pointer is in none of the board's RAM")
        return Reserved(size=why, used=why, source="")
    touched: Quantity
    if used is not None and run is not None:
        touched = Metric(value=used, unit="byte", mode="emulated", source=f"{run.emulator}, painted RAM")
    elif run is None:
        touched = Unavailable(unavailable="the program was not run")
    else:
        touched = Unavailable(unavailable="the RAM was gone when the run ended")
    return Reserved(size=_bytes(stack.size_bytes, stack.source), used=touched, source=stack.source)


def _heap(heap: Bounds | None) -> Reserved:
    if heap is None:
        why = Unavailable(unavailable="no symbols of the linker's say where a heap is")
        return Reserved(size=why, used=why, source="")
    unseen = Unavailable(unavailable="what of a heap is in use only its allocator knows")
    return Reserved(size=_bytes(heap.size_bytes, heap.source), used=unseen, source=heap.source)


def _no_arena(firmware: Firmware) -> Unavailable:
    why = "no symbol in RAM is called like an arena" if firmware.symbols else "the file is stripped: it has no symbols"
    return Unavailable(unavailable=why)


def _engine(run: FirmwareRun | None, job: FirmwareJob | None) -> Engine | None:
    if run is None or job is None:
        return None
    return Engine(name=job.emulation.engine, emulator=run.emulator, machine=run.machine, differs=run.differs)


def _run(run: FirmwareRun, found: tuple[Finding, ...], marks: dict[str, int]) -> Run:
    touched: Quantity
    if run.ram is None:
        touched = Unavailable(unavailable="the RAM was gone when the run ended")
    else:
        bytes_touched = sum(len(content) - content.count(PAINT) for content in run.ram.values())
        touched = Metric(value=bytes_touched, unit="byte", mode="emulated", source=f"{run.emulator}, painted RAM")
    everything: Quantity = Unavailable(unavailable="the emulator counted nothing")
    if run.instructions is not None:
        everything = Metric(value=run.instructions, unit="instruction", mode="emulated", source=run.emulator)
    return Run(
        ended=run.ended,
        exit_code=run.exit_code,
        instructions=between(run, marks),
        all_instructions=everything,
        ram_touched=touched,
        console=run.console,
        findings=found,
    )


def between(run: FirmwareRun, marks: dict[str, int]) -> Quantity:
    """Instructions from the last pass of the begin symbol before the first of the end symbol, to that."""
    for role, usual in (("begin", BEGIN), ("end", END)):
        if role not in marks:
            return Unavailable(unavailable=f"the program has no symbol {usual}, and --{role} names no other")
    begun = None
    for mark, count in run.passes:
        if mark == "begin":
            begun = count
        elif begun is not None:
            source = f"{run.emulator}, exact: {format_count(count)} at the end symbol"
            return Metric(value=count - begun, unit="instruction", mode="emulated", source=source)
    return Unavailable(unavailable=f"the run did not reach the {'end' if begun is not None else 'begin'} symbol")


def _bytes(value: int, source: str) -> Metric:
    return Metric(value=value, unit="byte", mode="predicted", source=source)
