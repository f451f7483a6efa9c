"""How many instructions of each class the programs ``count_*.S`` execute; their comments say why."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.measurements import InstructionClass

_LINUX: Mapping[InstructionClass, int] = {
    "integer": 19021,
    "multiply": 2000,
    "divide": 3000,
    "branch": 22000,
    "load": 5000,
    "store": 6000,
    "vector_load": 7000,
    "vector_store": 8000,
    "vector_fma": 9000,
    "vector_float": 10000,
    "vector_integer_multiply": 11000,
    "dot_product": 12000,
    "vector_integer": 13000,
    "permute": 14000,
    "float": 15000,
    "crypto": 16000,
    "atomic": 17000,
    "system": 18001,
}

HAND_COUNTS: Mapping[str, Mapping[InstructionClass, int]] = {
    "count_a64": _LINUX,
    "count_a32": _LINUX,
    "count_t32": _LINUX,
    "count_m": {
        "integer": 9012,
        "multiply": 2000,
        "divide": 3000,
        "branch": 12000,
        "load": 5000,
        "store": 6000,
        "atomic": 7000,
        "system": 8001,
    },
}
"""By program, in instructions; a class that is not there has none."""
