"""An ONNX file without its weights: the protobuf copied field by field, large tensor payloads left out and counted.

protobuf's own parser would copy a 1 GB model three times over to tell that it has one operator.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field

_SMALL_BYTES = 4096  # shorter messages are copied unopened
_MAX_FIELDS = 5_000_000  # some 4 s; each number in a tree ensemble's attributes is a field
_MAX_DEPTH = 100  # protobuf's own limit
_MAX_SLIM_BYTES = 64 << 20  # a graph of 10,000 operators takes some 3 MB

# What to look into, by field number of onnx.proto. `None`: a payload to leave out.
_Plan = Mapping[int, "str | None"]
_PLANS: Mapping[str, _Plan] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {4: None, 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {4: None, 9: None, 10: None},  # float_data, raw_data, double_data: as long here as in memory
}


class MalformedError(Exception):
    """Not a protobuf message."""


class TooLargeError(Exception):
    """A message with more structure, weights aside, than is read here."""


@dataclass(frozen=True, kw_only=True)
class Slim:
    """A model file's structure."""

    message: bytes
    """A serialised ModelProto."""
    left_out_bytes: int
    """Constant data that ``message`` lacks."""


def without_weights(content: mmap.mmap) -> Slim:
    """``content``, a ModelProto, without payloads above a few kB. Raises `MalformedError` or `TooLargeError`."""
    copy = _Copy(content=content)
    message = copy.slim(0, len(content), "model", 0)
    if len(message) > _MAX_SLIM_BYTES:
        raise TooLargeError(f"its graph takes {len(message)} bytes without weights, more than {_MAX_SLIM_BYTES}")
    return Slim(message=message, left_out_bytes=copy.left_out_bytes)


@dataclass(kw_only=True)
class _Copy:
    content: mmap.mmap
    left_out_bytes: int = 0
    _fields: int = field(default=0, init=False)

    def slim(self, start: int, end: int, kind: str, depth: int) -> bytes:
        """The message of ``kind`` at ``start`` … ``end``."""
        if depth > _MAX_DEPTH:
            raise MalformedError("it is nested too deeply")
        plan = _PLANS[kind]
        pieces = []
        copied = position = start
        while position < end:
            tag_at = position
            tag, length_at = self._varint(tag_at, end)
            position, stop = self._value(tag & 7, length_at, end)
            if stop - position > _SMALL_BYTES and tag & 7 == 2 and tag >> 3 in plan:
                pieces.append(self.content[copied:tag_at])
                inner = plan[tag >> 3]
                if inner is None:
                    self.left_out_bytes += stop - position
                else:
                    message = self.slim(position, stop, inner, depth + 1)
                    pieces += [self.content[tag_at:length_at], _encode(len(message)), message]
                copied = stop
            position = stop
        pieces.append(self.content[copied:end])
        return b"".join(pieces)

    def _value(self, wire_type: int, at: int, end: int) -> tuple[int, int]:
        """Where a field's value begins and ends."""
        self._fields += 1
        if self._fields > _MAX_FIELDS:
            raise TooLargeError(f"it has more than {_MAX_FIELDS} fields")
        if wire_type == 0:
            start, stop = at, self._varint(at, end)[1]
        elif wire_type == 2:
            length, start = self._varint(at, end)
            stop = start + length
        elif wire_type in (1, 5):
            start, stop = at, at + (8 if wire_type == 1 else 4)
        else:
            raise MalformedError(f"it has a field of wire type {wire_type}")
        if stop > end:
            raise MalformedError("a field is longer than what holds it")
        return start, stop

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """A number and where it ends (protobuf's base-128 encoding)."""
        value = 0
        for count, byte in enumerate(self.content[at : min(at + 10, end)]):
            value |= (byte & 0x7F) << (7 * count)
            if byte < 0x80:
                return value, at + count + 1
        raise MalformedError("a number does not end")


def _encode(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
