"""Semihosting for a program under a debugger: it prints and ends, and gets at nothing else of this host.

Arm, "Semihosting for AArch32 and AArch64". A call is ``bkpt 0xab`` with its number in r0 and its argument in r1.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.microcontroller.elf import Firmware

from .gdb_remote import GdbRemote

_BREAK = b"\xab\xbe"
_OPEN, _CLOSE, _WRITEC, _WRITE0, _WRITE, _READ, _ISTTY = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x09
_FLEN, _CLOCK, _TIME, _ERRNO, _COMMAND_LINE, _HEAP, _EXIT, _EXIT_EXTENDED = (
    0x0C, 0x10, 0x11, 0x13, 0x15, 0x16, 0x18, 0x20
)  # fmt: skip
_WELL_ENDED = 0x20026
"""ADP_Stopped_ApplicationExit."""
_EACCES = 13
_REFUSED = 0xFFFF_FFFF
_LONGEST_TEXT = 1 << 16
_FIXED = {_CLOSE: 0, _FLEN: 0, _CLOCK: 0, _TIME: 0, _COMMAND_LINE: 0, _HEAP: 0, _ISTTY: 1, _ERRNO: _EACCES}
"""Answers that are always the same: no clock of this host, and the one error there is."""


def calls_in(firmware: Firmware) -> Iterator[int]:
    """Addresses of the calls in the program's code."""
    for section in firmware.sections:
        holder = next((s for s in firmware.segments if s.address <= section.address < s.address + len(s.data)), None)
        if section.code and holder is not None:
            offset = section.address - holder.address
            data = holder.data[offset : offset + section.size_bytes]
            yield from (section.address + at for at in range(0, len(data) - 1, 2) if data[at : at + 2] == _BREAK)


def serve(remote: GdbRemote, printed: bytearray) -> int | None:
    """Do the call that the core has stopped at, and let it go on behind it. The status, if it was the last one."""
    call, argument = remote.register(0), remote.register(1)
    if call == _EXIT:
        return 0 if argument == _WELL_ENDED else 1
    if call == _EXIT_EXTENDED:
        return remote.read_word(argument + 4) if remote.read_word(argument) == _WELL_ENDED else 1
    answer = _answer(remote, call, argument, printed)
    remote.set_register(0, answer)
    remote.set_register(15, remote.register(15) + 2)
    return None


def _answer(remote: GdbRemote, call: int, argument: int, printed: bytearray) -> int:
    if call in {_WRITEC, _WRITE0, _WRITE}:
        return _print(remote, call, argument, printed)
    if call == _OPEN:
        mode = remote.read_word(argument + 4)
        standard = _text(remote, remote.read_word(argument)) == b":tt"
        return (0 if mode < 4 else 1 if mode < 8 else 2) if standard else _REFUSED
    if call == _READ:  # nothing was read: all of it is left
        return remote.read_word(argument + 8)
    if call == _COMMAND_LINE:
        remote.write_memory(remote.read_word(argument), b"\0")
        remote.write_memory(argument + 4, bytes(4))
    elif call == _HEAP:  # zeros: the C library takes what its linker script says
        remote.write_memory(remote.read_word(argument), bytes(16))
    return _FIXED.get(call, _REFUSED)


def _print(remote: GdbRemote, call: int, argument: int, printed: bytearray) -> int:
    if call == _WRITEC:
        printed += remote.read_memory(argument, 1)
    elif call == _WRITE0:
        printed += _text(remote, argument)
    else:
        handle, data, size = (remote.read_word(argument + 4 * index) for index in range(3))
        if handle not in {1, 2}:
            return size
        printed += remote.read_memory(data, min(size, _LONGEST_TEXT))
    return 0


def _text(remote: GdbRemote, address: int) -> bytes:
    found = b""
    while len(found) < _LONGEST_TEXT:
        piece = remote.read_memory(address + len(found), 64)
        if not piece or b"\0" in piece:
            return found + piece.partition(b"\0")[0]
        found += piece
    return found
