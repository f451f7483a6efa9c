"""Copies of weights that ONNX Runtime's kernels of matrix products make."""

from __future__ import annotations

import pytest

from sandbox.graph.dataflow import Dataflow
from sandbox.static.initializers import packed_beside_originals
from tests.unit.static.flows import flow, value

WEIGHT = 8 * 16 * 4


def product(kind: str = "MatMul", *shape: int, dtype: str = "float32", constant: bool = True) -> Dataflow:
    weight = value("w", *(shape or (8, 16)), dtype=dtype, constant=constant)
    return flow([value("in", 1, 8), weight, value("out", 1, 16)], [f"{kind} in w -> out"])


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.16.3", WEIGHT), ("1.19.2", WEIGHT), ("1.22.1", WEIGHT), ("1.23.0", 0), ("1.31.1", 0), ("", 0), ("new", 0)],
)
def test_originals_keep_their_place_up_to_1_22(version: str, expected: int) -> None:
    assert packed_beside_originals(product(), version) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (product("Gemm"), WEIGHT),
        (product("Conv", 8, 8, 1, 1), 0),
        (product("MatMul", 2, 8, 16), 0),
        (product(dtype="float16"), 0),
        (product(constant=False), 0),
        (flow([value("in", 1, 8), value("out", 1, 8)], ["Gemm in -> out"]), 0),
        (flow([value("in", 1, 8), value("out", 1, 8)], ["LSTM in _ _ -> out"]), 0),
    ],
)
def test_constant_matrices_of_floats_are_packed(made: Dataflow, expected: int) -> None:
    assert packed_beside_originals(made, "1.19.2") == expected


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_both_matrices_of_a_recurrent_layer(kind: str) -> None:
    shapes = {"w": (1, 16, 8), "r": (1, 16, 4), "b": (1, 32)}
    values = [value(name, *shape, constant=True) for name, shape in shapes.items()]
    made = flow([value("in", 3, 1, 8), *values, value("out", 3, 1, 4)], [f"{kind} in w r b -> out"])
    assert packed_beside_originals(made, "1.22.0") == 4 * (16 * 8 + 16 * 4)


def test_every_reader_of_a_matrix_packs_its_own() -> None:
    values = [value("in", 1, 8), value("w", 8, 8, constant=True), value("a", 1, 8), value("out", 1, 8)]
    made = flow(values, ["MatMul in w -> a", "MatMul a w -> out"])
    assert packed_beside_originals(made, "1.22.0") == 2 * 8 * 8 * 4
