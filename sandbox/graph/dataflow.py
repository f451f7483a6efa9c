"""Who writes and who reads which tensor, in the order of execution: what memory plans are made from.

`read_dataflow` in the package reads it from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

LEFT_OUT = -1
"""The index of an optional input that is not given."""

_MAX_RANK = 32  # runtimes know up to 8; the product of a million dimensions would take minutes
_LARGEST_BYTES = 1 << 62

_BITS: Mapping[str, int] = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 64),
    **dict.fromkeys(("float32", "int32", "uint32"), 32),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 16),
    **dict.fromkeys(("int8", "uint8", "bool"), 8),
    **dict.fromkeys(("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float8e8m0"), 8),
    **dict.fromkeys(("int4", "uint4", "float4e2m1"), 4),
    **dict.fromkeys(("int2", "uint2"), 2),
    "complex128": 128,
}


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor of a graph, without its data."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    """``None`` where the file leaves a dimension open."""
    constant: bool
    """Its data is in the file."""
    variable: bool = False
    """It keeps its data from one inference to the next."""

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the data; ``None`` for open or absurd shapes and for types without a fixed size, as strings."""
        bits = _BITS.get(self.dtype)
        if bits is None or self.shape is None or len(self.shape) > _MAX_RANK:
            return None
        size = -(-prod(self.shape) * bits // 8)
        return size if size <= _LARGEST_BYTES else None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One executed operator. Inputs and outputs are positions in `Dataflow.values`."""

    index: int
    """Position within its graph, as `Operator.index`."""
    type: str
    name: str
    """The node's name, else that of its first output."""
    inputs: tuple[int, ...]
    """`LEFT_OUT` for an optional input that is not given."""
    outputs: tuple[int, ...]
    strides: tuple[int, ...] = ()
    """Of convolutions and pools, per spatial dimension; empty where the file has none."""
    dilations: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """One graph: the main one, or the body of a control-flow operator."""

    values: tuple[Value, ...]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str = field(default="main")

    def bytes_of(self, positions: tuple[int, ...]) -> int | None:
        """Bytes of these values together; ``None`` when one of them is not known."""
        sizes = [self.values[position].size_bytes for position in positions if position != LEFT_OUT]
        return None if None in sizes else sum(size for size in sizes if size is not None)
