"""The illegal instruction that ended a guest: its own record of it → the instruction, what it needs, where it is.

The record is that of images/fault: a line ``a64 PC BYTES`` and the guest's memory map. Guests are not trusted: what
does not parse is no record.
"""

from __future__ import annotations

import re
from pathlib import Path

from sandbox import rundir
from sandbox.engines.base import FAULT
from sandbox.isa import INSTRUCTION_SETS, InstructionSet, decode
from sandbox.measurements import IllegalInstruction

from .symbols import UNKNOWN, Symbols

_LINE = re.compile(r"(\w{3}) ([0-9a-f]{8,16}) ((?:[0-9a-f]{2}){4,8})")
_NAMES: dict[str, InstructionSet] = {name: name for name in INSTRUCTION_SETS}


def describe_fault(job_dir: Path, root: Path) -> None:
    """Write what a job's guest died of, while the image at ``root`` is at hand."""
    try:
        text = rundir.read_guest_file(job_dir / FAULT).decode(errors="replace")
    except OSError:
        return
    found = read_fault(text, root)
    if found is not None:
        rundir.write_fault(job_dir, found)


def read_fault(text: str, root: Path) -> IllegalInstruction | None:
    """The record in ``text``, with names from the image's files at ``root``."""
    first, _, maps = text.partition("\n")
    match = _LINE.fullmatch(first)
    instruction_set = _NAMES.get(match[1]) if match else None
    if match is None or instruction_set is None:
        return None
    address = int(match[2], 16)
    instruction = decode(bytes.fromhex(match[3]), instruction_set)
    code = Symbols(maps, root).code(address)
    file, _, offset = code.place.rpartition("+")
    return IllegalInstruction(
        instruction=instruction.text,
        encoding=instruction.encoding,
        instruction_set=instruction_set,
        address=f"0x{address:x}",
        function=code.function,
        file=file or UNKNOWN,
        offset=f"0x{offset}" if file else None,
        needs=instruction.feature,
        trap=instruction.trap,
    )
