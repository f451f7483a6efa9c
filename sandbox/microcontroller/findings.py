"""What went wrong in a run, in words, with the place in the program. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .elf import Firmware
from .firmware import Bounds
from .firmware_result import Finding
from .job import PERIPHERALS, Fault, FirmwareJob, FirmwareRun

EXCEPTIONS = {3: "HardFault", 4: "MemManage fault", 5: "BusFault", 6: "UsageFault", 7: "SecureFault"}
_OTHER_EXCEPTIONS = {2: "NMI", 11: "SVCall", 12: "DebugMonitor", 14: "PendSV", 15: "SysTick"}

_CFSR = (
    (0, "instruction fetch from where code may not run (IACCVIOL)"),
    (1, "data access that the memory protection forbids (DACCVIOL)"),
    (3, "return from an exception with a stack that the memory protection forbids (MUNSTKERR)"),
    (4, "entry to an exception with a stack that the memory protection forbids (MSTKERR)"),
    (5, "saving FPU registers where the memory protection forbids it (MLSPERR)"),
    (8, "instruction fetch from where no memory is (IBUSERR)"),
    (9, "access to where no memory is (PRECISERR)"),
    (10, "access to where no memory is, noticed later (IMPRECISERR)"),
    (11, "return from an exception with a stack where no memory is (UNSTKERR)"),
    (12, "entry to an exception with a stack where no memory is (STKERR)"),
    (13, "saving FPU registers where no memory is (LSPERR)"),
    (16, "undefined instruction (UNDEFINSTR)"),
    (17, "jump to an address without the Thumb bit, or a damaged exception return (INVSTATE)"),
    (18, "damaged exception return (INVPC)"),
    (19, "FPU or coprocessor instruction while that is switched off (NOCP)"),
    (20, "stack pointer below its limit register (STKOF)"),
    (24, "unaligned access (UNALIGNED)"),
    (25, "divide by zero (DIVBYZERO)"),
)
"""Bits of the Configurable Fault Status Register: Armv7-M and Armv8-M reference manuals, "CFSR"."""
_UNKNOWN_INSTRUCTION = 1 << 16 | 1 << 19
_STACKING = 1 << 4 | 1 << 12 | 1 << 20


def cfsr_words(value: int) -> str:
    """The register's bits in words; empty when none is set."""
    return ", ".join(words for bit, words in _CFSR if value >> bit & 1)


def findings(job: FirmwareJob, run: FirmwareRun, stack: Bounds | None, stack_used: int | None) -> Iterator[Finding]:
    """Everything that the board would not have taken, what ended the run first."""
    ending = _ending(job, run, stack)
    if ending is not None:
        yield ending
    overflowed = run.fault is not None and _overflow(run.fault, stack) is not None
    if stack is not None and stack_used is not None and stack_used >= stack.size_bytes and not overflowed:
        text = f"the stack used all of its {stack.size_bytes} bytes and may have grown into the data below"
        yield Finding(kind="stack overflow", place=f"{stack.start:#010x}", text=text)
    for stray in run.strays:
        where, verb = job.firmware.place(stray.pc), "writes" if stray.store else "reads"
        read_only = any(span.start <= stray.address < span.end for span in job.allowed)
        what = "which is flash" if read_only else f"where {job.board.id} has nothing"
        times = f" ({stray.times} times)" if stray.times > 1 else ""
        text = f"{where} {verb} {stray.size_bytes} bytes at {stray.address:#010x}, {what}{times}"
        yield Finding(kind="write to flash" if read_only else "out of range", place=where, text=text)


def _ending(job: FirmwareJob, run: FirmwareRun, stack: Bounds | None) -> Finding | None:
    """What ended the run, where that was not the program itself."""
    firmware = job.firmware
    where = firmware.place(run.pc) if run.pc is not None else "an unknown place"
    meanwhile = f", handling {_exception(run.exception)}" if run.exception else ""
    if run.ended == "lockup":
        text = f"the core locked up: a fault while it handled a fault, at {where}"
        return Finding(kind="lockup", place=where, text=_with_stack(text, run.fault, stack))
    if run.fault is not None:
        return _fault(firmware, run, run.fault, stack)
    if run.ended == "timeout":
        text = f"did not end within {job.timeout_seconds:g} s: it was in {where}{meanwhile}"
        if run.pc is not None and not any(span.start <= run.pc < span.end for span in job.allowed):
            text += f", where {job.board.id} has nothing"
        return Finding(kind="hang", place=where, text=text)
    if run.ended == "reset":
        text = f"it reset the core in {where}{meanwhile}: the board would start again, here that ends the run"
        return Finding(kind="reset", place=where, text=text)
    if run.ended == "flood":
        return Finding(kind="flood", place=where, text=f"it printed without end, in {where}{meanwhile}")
    if run.ended == "abort":
        text = f"the emulator gave up: {run.words or 'no word why'}, in {where}"
        return Finding(kind="abort", place=where, text=text)
    return None


def not_modelled(job: FirmwareJob, run: FirmwareRun) -> str | None:
    """Why a fault may be the emulator's and not the program's: the board has what it is about. None otherwise."""
    if run.lacks is not None and run.fault is not None and (run.fault.cfsr or 0) & _UNKNOWN_INSTRUCTION:
        return f"{run.machine} lacks instructions that the {job.board.cpu.core} has, {run.lacks}: it may be one of them"
    address = run.fault.address if run.fault is not None else None
    if address is None:
        return None
    if any(first <= address < end for first, end in PERIPHERALS):
        return f"the fault came from {address:#010x}, a peripheral that {run.emulator}'s {run.machine} has not"
    if any(span.start <= address < span.end for span in job.allowed):
        return f"the fault came from {address:#010x}, memory of {job.board.id} that {run.machine} has not"
    return None


def _exception(number: int) -> str:
    """What Arm calls an exception; from 16 on, the chip's maker numbers the interrupts."""
    if number >= 16:
        return f"interrupt {number - 16}"
    return EXCEPTIONS.get(number) or _OTHER_EXCEPTIONS.get(number, f"exception {number}")


def _fault(firmware: Firmware, run: FirmwareRun, fault: Fault, stack: Bounds | None) -> Finding:
    at = fault.pc if fault.pc is not None else run.block
    where = firmware.place(at) if at is not None else "an unknown place"
    near = "in" if fault.pc is None else "at"
    name = EXCEPTIONS.get(fault.exception, f"exception {fault.exception}")
    reason = cfsr_words(fault.cfsr or 0)
    if not reason and fault.pc is not None and firmware.bytes_at(fault.pc, 2)[1:] == b"\xbe":
        reason = "breakpoint instruction without a debugger (BKPT)"
    text = f"{name} {near} {where}" + (f": {reason}" if reason else "")
    if fault.address is not None:
        text += f", address {fault.address:#010x}"
    if fault.cfsr is not None:
        text += f" (CFSR {fault.cfsr:#010x})"
    if fault.lr is not None and not fault.lr >= 0xFFFF_FF00:
        text += f", called from {firmware.place(fault.lr & ~1)}"
    overflow = _overflow(fault, stack)
    if overflow is not None:
        return Finding(kind="stack overflow", place=where, text=f"stack overflow {near} {where}: {overflow}; {text}")
    return Finding(kind="fault", place=where, text=text)


def _with_stack(text: str, fault: Fault | None, stack: Bounds | None) -> str:
    overflow = _overflow(fault, stack) if fault is not None else None
    return f"{text}; stack overflow: {overflow}" if overflow else text


def _overflow(fault: Fault, stack: Bounds | None) -> str | None:
    """How far the stack pointer is below the stack's lower end, if it is, or if the core says as much."""
    if stack is not None and not fault.process_stack and fault.stack_pointer < stack.start:
        below = stack.start - fault.stack_pointer
        if below < 1 << 24:  # else it is a stack of the program's own, somewhere else
            return f"stack pointer {fault.stack_pointer:#010x} is {below} bytes below the stack's lower end"
    if fault.cfsr is not None and fault.cfsr & _STACKING:
        return f"stack pointer {fault.stack_pointer:#010x} is where no frame can be stored"
    return None
