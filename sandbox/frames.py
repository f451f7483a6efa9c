"""Parts of a result as pandas tables: plain numbers in SI units, NaN for what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .measurements import Op, Phase
from .metrics import Metric, Quantity

if TYPE_CHECKING:
    import pandas as pd


_OPS = [
    *("index", "type", "name", "dtype", "shape", "delegate", "status"),
    *("instructions", "seconds", "mode", "kernel", "library"),
]


def ops_frame(ops: Sequence[Op]) -> pd.DataFrame:
    """A row of each operator, indexed by its number in the run; the kernel is the function that did most for it."""
    import pandas as pd  # noqa: PLC0415  # half a second that only its users pay

    rows = [
        {
            "index": op.index,
            "type": op.type,
            "name": op.name,
            "dtype": op.dtype,
            "shape": op.shape,
            "delegate": op.delegate,
            "status": op.status,
            "instructions": _number(op.instructions),
            "seconds": _number(op.time),
            "mode": op.time.mode if isinstance(op.time, Metric) else None,
            "kernel": op.kernels[0].function if op.kernels else None,
            "library": op.kernels[0].library if op.kernels else None,
        }
        for op in ops
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=_OPS).set_index("index")
    return frame


def memory_frame(timeline: Sequence[tuple[float, int]], phases: Sequence[Phase]) -> pd.DataFrame:
    """A row of each sample of the guest's resident memory: seconds since the start, bytes, and the phase it was in."""
    import pandas as pd  # noqa: PLC0415

    starts = [(start, phase.name) for phase in phases if (start := _number(phase.start)) is not None]
    rows = [
        {
            "seconds": seconds,
            "resident_bytes": resident,
            "phase": next((name for start, name in reversed(starts) if start <= seconds), None),
        }
        for seconds, resident in timeline
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["seconds", "resident_bytes", "phase"])
    return frame


def _number(quantity: Quantity) -> float | None:
    return quantity.value if isinstance(quantity, Metric) else None
