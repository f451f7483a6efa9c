"""A debugger's end of GDB's remote protocol, as far as QEMU's stub is needed: memory, registers, breakpoints, and the
file calls of semihosting, of which only what the program prints is granted.

The protocol: https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.errors import RunError

_CHUNK_BYTES = 1900
"""In hexadecimal it must fit into the stub's packets of 4096 characters."""
_REPLY_SECONDS = 30.0
_XPSR = 25
_SHUT_DOWN = "03"
"""The stub's signal for a machine that has shut down: SIGQUIT."""
_REFUSED = "F-1,d"
"""EACCES: a program in an emulator gets at no file of this host."""
_STR_R1_AT_R0 = bytes.fromhex("0160")
_MRS_R0_PSP = bytes.fromhex("eff30980")


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Why the program does not run any more."""

    kind: Literal["breakpoint", "ended", "gone", "asked", "reset"]
    """``ended``: by semihosting's exit call; ``gone``: QEMU itself ended; ``asked``: `GdbRemote.go` was told to;
    ``reset``: the program reset the machine, which has stopped (QEMU's -no-reboot -no-shutdown)."""
    status: int | None = None


class GdbRemote:
    """A connection to a stopped or running program. Raises `RunError` when the other end does not answer."""

    def __init__(self, path: Path, alive: Callable[[], bool]) -> None:
        self._socket = _connect(path, alive)
        self._received = b""
        self._ask("qXfer:features:read:target.xml:0,ffb")  # QEMU gives single registers only to who has asked for this

    def close(self) -> None:
        """Hang up; QEMU goes on."""
        self._socket.close()

    def read_memory(self, address: int, size: int) -> bytes:
        """``size`` bytes; shorter where the machine has no memory any more."""
        parts = []
        for start in range(address, address + size, _CHUNK_BYTES):
            wanted = min(_CHUNK_BYTES, address + size - start)
            answer = self._ask(f"m{start:x},{wanted:x}")
            if answer.startswith("E"):
                break
            parts.append(bytes.fromhex(answer))
        return b"".join(parts)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write, also to what the program itself can only read."""
        for start in range(0, len(data), _CHUNK_BYTES):
            piece = data[start : start + _CHUNK_BYTES]
            if self._ask(f"M{address + start:x},{len(piece):x}:{piece.hex()}") != "OK":
                raise RunError(f"the emulator has no memory at {address + start:#010x}")

    def read_word(self, address: int) -> int:
        """A little-endian word; 0 where there is none."""
        return int.from_bytes(self.read_memory(address, 4), "little")

    def register(self, number: int) -> int:
        """r0 to r15, as they are in the mode that the core is in."""
        return int.from_bytes(bytes.fromhex(self._ask(f"p{number:x}")), "little")

    def set_register(self, number: int, value: int) -> None:
        """r0 to r15."""
        self._ask(f"P{number:x}={value.to_bytes(4, 'little').hex()}")

    def xpsr(self) -> int:
        """Flags; the lowest nine bits are the exception that is being handled."""
        return self.register(_XPSR)

    def set_thumb_state(self) -> None:
        """Set the T bit, without which a Cortex-M core faults at its first instruction."""
        self.set_register(_XPSR, 1 << 24)

    def process_stack_pointer(self) -> int:
        """PSP, which this stub does not give: an instruction that reads it is lent to the program and taken back."""
        pc, r0 = self.register(15), self.register(0)
        there = self.read_memory(pc, 4)
        self.write_memory(pc, _MRS_R0_PSP)
        try:
            self._ask("vCont;s")
            return self.register(0)
        finally:
            self.write_memory(pc, there)
            self.set_register(0, r0)
            self.set_register(15, pc)

    def store_by_core(self, address: int, value: int) -> None:
        """Write a register of the core's own, which this stub does not reach: the program is lent an instruction."""
        pc, r0, r1 = self.register(15), self.register(0), self.register(1)
        there = self.read_memory(pc, 2)
        self.write_memory(pc, _STR_R1_AT_R0)
        try:
            self.set_register(0, address)
            self.set_register(1, value)
            self._ask("vCont;s")
        finally:
            self.write_memory(pc, there)
            self.set_register(0, r0)
            self.set_register(1, r1)
            self.set_register(15, pc)

    def set_breakpoint(self, address: int) -> None:
        """Stop before the Thumb instruction at that address."""
        self._ask(f"Z0,{address:x},2")

    def step(self) -> None:
        """Run one instruction."""
        self._ask("vCont;s")

    def go(self, *, go_on: Callable[[], bool], write: Callable[[bytes], None]) -> Stop:
        """Run until something stops the program, or ``go_on`` says no; ``write`` gets what it prints."""
        self._send("vCont;c")
        asked = False
        while True:
            if not asked and not go_on():
                asked = True
                self._socket.sendall(b"\x03")
            packet = self._receive(0.05)
            if packet is None:
                return Stop(kind="gone")
            if packet == "":
                continue
            if packet[0] == "F":
                self._send(self._file_call(packet[1:], write))
            elif packet[0] in "WX":
                return Stop(kind="ended", status=int(packet[1:3], 16))
            elif packet[0] in "ST" and packet[1:3] == _SHUT_DOWN:
                return Stop(kind="reset")
            elif packet[0] in "ST":
                return Stop(kind="asked" if asked else "breakpoint")

    def _file_call(self, call: str, write: Callable[[bytes], None]) -> str:
        name, *words = call.split(",")
        if name == "write" and len(words) == 3 and words[0] in {"1", "2"}:
            size = int(words[2], 16)
            write(self.read_memory(int(words[1], 16), min(size, 1 << 16)))
            return f"F{size:x}"
        return {"isatty": "F1", "close": "F0"}.get(name, _REFUSED)

    def _ask(self, request: str) -> str:
        self._send(request)
        deadline = time.monotonic() + _REPLY_SECONDS
        while time.monotonic() < deadline:
            answer = self._receive(0.5)
            if answer is None:
                raise RunError("the emulator ended while it was asked about the program")
            if answer:
                return answer
        raise RunError("the emulator does not answer any more")

    def _send(self, packet: str) -> None:
        total = sum(packet.encode()) & 0xFF
        with contextlib.suppress(OSError):  # whoever reads next sees that the other end is gone
            self._socket.sendall(f"${packet}#{total:02x}".encode())

    def _receive(self, timeout: float) -> str | None:
        """The next packet; empty when none came in time; None when the other end has hung up."""
        deadline = time.monotonic() + timeout
        while True:
            start = self._received.find(b"$")
            end = self._received.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._received) >= end + 3:
                packet = self._received[start + 1 : end].decode("ascii", "replace")
                self._received = self._received[end + 3 :]
                with contextlib.suppress(OSError):
                    self._socket.sendall(b"+")
                return packet or "unsupported"
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self._socket.recv(1 << 16)
            except TimeoutError:
                return ""
            except OSError:
                return None
            if not more:
                return None
            self._received += more


def _connect(path: Path, alive: Callable[[], bool]) -> socket.socket:
    """Wait for the stub's socket: QEMU opens it within a moment of its start."""
    deadline = time.monotonic() + _REPLY_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            if not alive() or time.monotonic() > deadline:
                raise RunError(f"the emulator opened no debugger's door: {error.strerror}") from error
            time.sleep(0.01)
        else:
            return connection
