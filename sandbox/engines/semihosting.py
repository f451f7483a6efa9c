"""Semihosting for a program under a debugger: it prints and ends, and gets at nothing else of this host.

Arm, "Semihosting for AArch32 and AArch64". A call is ``bkpt 0xab`` with its number in r0 and its argument in r1.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.microcontroller.elf import Firmware

from .gdb_remote import GdbRemote

_BREAK = b"\xab\xbe"
_OPEN, _CLOSE, _WRITEC, _WRITE0, _WRITE, _READ, _ISTTY, _SEEK = (
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x09, 0x0A
)  # fmt: skip
_FLEN, _CLOCK, _TIME, _ERRNO, _COMMAND_LINE, _HEAP, _EXIT, _EXIT_EXTENDED = (
    0x0C, 0x10, 0x11, 0x13, 0x15, 0x16, 0x18, 0x20
)  # fmt: skip
_WELL_ENDED = 0x20026
"""ADP_Stopped_ApplicationExit."""
_EACCES = 13
_REFUSED = 0xFFFF_FFFF
_LONGEST_TEXT = 1 << 16
_FEATURES, _FEATURES_HANDLE = b":semihosting-features", 3
_FEATURE_BYTES = b"SHFB\x03"
"""The one file there is: its magic, and that an exit carries a status and stderr is not stdout. newlib asks for it."""
_FIXED = {_CLOSE: 0, _CLOCK: 0, _TIME: 0, _COMMAND_LINE: 0, _HEAP: 0, _ISTTY: 1, _ERRNO: _EACCES}
"""Answers that are always the same: no clock of this host, and the one error there is."""


def calls_in(firmware: Firmware) -> Iterator[int]:
    """Addresses of the calls in the program's code."""
    for section in firmware.sections:
        holder = next((s for s in firmware.segments if s.address <= section.address < s.address + len(s.data)), None)
        if section.code and holder is not None:
            offset = section.address - holder.address
            data = holder.data[offset : offset + section.size_bytes]
            yield from (section.address + at for at in range(0, len(data) - 1, 2) if data[at : at + 2] == _BREAK)


def signed(word: int) -> int:
    """A status as C has it: an ``int`` of 32 bits."""
    return word - (1 << 32) if word & 1 << 31 else word


class Semihosting:
    """Serves the calls of one run."""

    def __init__(self, remote: GdbRemote, printed: bytearray) -> None:
        self._remote, self._printed = remote, printed
        self._position = 0
        """In the file of features."""

    def serve(self) -> int | None:
        """Do the call that the core has stopped at, and let it go on behind it. The status, if it was the last one."""
        remote = self._remote
        call, argument = remote.register(0), remote.register(1)
        if call == _EXIT:
            return 0 if argument == _WELL_ENDED else 1
        if call == _EXIT_EXTENDED:
            return signed(remote.read_word(argument + 4)) if remote.read_word(argument) == _WELL_ENDED else 1
        answer = self._answer(call, argument)
        remote.set_register(0, answer)
        remote.set_register(15, remote.register(15) + 2)
        return None

    def _answer(self, call: int, argument: int) -> int:
        remote = self._remote
        if call in {_WRITEC, _WRITE0, _WRITE}:
            return self._print(call, argument)
        if call == _OPEN:
            return self._open(remote.read_word(argument), remote.read_word(argument + 4))
        if call in {_FLEN, _SEEK, _READ}:
            return self._features(call, *(remote.read_word(argument + 4 * index) for index in range(3)))
        if call == _COMMAND_LINE:
            remote.write_memory(remote.read_word(argument), b"\0")
            remote.write_memory(argument + 4, bytes(4))
        elif call == _HEAP:  # zeros: the C library takes what its linker script says
            remote.write_memory(remote.read_word(argument), bytes(16))
        return _FIXED.get(call, _REFUSED)

    def _open(self, name: int, mode: int) -> int:
        text = _text(self._remote, name)
        if text == _FEATURES:
            self._position = 0
            return _FEATURES_HANDLE
        return (0 if mode < 4 else 1 if mode < 8 else 2) if text == b":tt" else _REFUSED

    def _features(self, call: int, handle: int, second: int, size: int) -> int:
        """Length, place and bytes of the one file; from every other nothing is read, and all of it is left."""
        if handle != _FEATURES_HANDLE:
            return size if call == _READ else 0 if call == _FLEN else _REFUSED
        if call == _FLEN:
            return len(_FEATURE_BYTES)
        if call == _SEEK:
            self._position = second
            return 0
        piece = _FEATURE_BYTES[self._position : self._position + size]
        self._remote.write_memory(second, piece)
        self._position += len(piece)
        return size - len(piece)

    def _print(self, call: int, argument: int) -> int:
        remote = self._remote
        if call == _WRITEC:
            self._printed += remote.read_memory(argument, 1)
        elif call == _WRITE0:
            self._printed += _text(remote, argument)
        else:
            handle, data, size = (remote.read_word(argument + 4 * index) for index in range(3))
            if handle not in {1, 2}:
                return size
            self._printed += remote.read_memory(data, min(size, _LONGEST_TEXT))
        return 0


def _text(remote: GdbRemote, address: int) -> bytes:
    found = b""
    while len(found) < _LONGEST_TEXT:
        piece = remote.read_memory(address + len(found), 64)
        if not piece or b"\0" in piece:
            return found + piece.partition(b"\0")[0]
        found += piece
    return found
