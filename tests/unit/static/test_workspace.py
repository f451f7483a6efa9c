"""Temporaries and copies of weights, by kernel library."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.compatibility.operator_tables import TfliteTable, load_table
from sandbox.graph.dataflow import Dataflow
from sandbox.resources import data_directory
from sandbox.static.workspace import workspaces
from tests.unit.static.flows import flow, value

TABLES = data_directory("compatibility") / "operators"


def conv(
    kind: str = "CONV_2D", *, window: tuple[int, int] = (3, 3), stride: int = 1, dilation: int = 1, dtype: str = "int8"
) -> Dataflow:
    filter_shape = (1, *window, 4) if kind == "DEPTHWISE_CONV_2D" else (8, *window, 4)
    values = [
        value("in", 1, 10, 10, 4, dtype=dtype),
        value("w", *filter_shape, dtype=dtype, constant=True),
        value("bias", 8, dtype="int32", constant=True),
        value("out", 1, 10, 10, 8, dtype=dtype),
    ]
    made = flow(values, [f"{kind} in w bias -> out"])
    step = replace(made.steps[0], strides=(stride, stride), dilations=(dilation, dilation))
    return replace(made, steps=(step,))


def needs(made: Dataflow, runtime: str, architecture: str = "arm64") -> dict[str, int]:
    return {each.kind: each.size_bytes for each in workspaces(made, runtime, architecture=architecture)}


INT8 = {"unpacked weights", "gemm blocks"}
"""What an 8-bit convolution takes, whatever its window."""


def test_im2col_lays_every_window_out() -> None:
    found = [each for each in workspaces(conv(), "tflite-runtime", architecture="arm64") if each.kind not in INT8]
    assert [(each.kind, each.size_bytes, each.in_arena) for each in found] == [("im2col", 10 * 10 * 3 * 3 * 4, True)]


@pytest.mark.parametrize(
    ("stride", "dilation", "expected"), [(1, 1, {}), (2, 1, {"im2col": 400}), (1, 2, {"im2col": 400})]
)
def test_a_pointwise_convolution_needs_none_unless_it_skips(
    stride: int, dilation: int, expected: dict[str, int]
) -> None:
    made = conv(window=(1, 1), stride=stride, dilation=dilation)
    found = needs(made, "tflite-runtime")
    assert {kind: size for kind, size in found.items() if kind not in INT8} == expected


def test_8_bit_kernels_allocate_by_themselves() -> None:
    """Room to unpack weights of 4 bits into, and the blocks that gemmlowp packs."""
    found = needs(conv(), "tflite-runtime")
    assert {kind: found[kind] for kind in INT8} == {"unpacked weights": 2 * 8 * 3 * 3 * 4, "gemm blocks": 16384}
    assert not INT8 & set(needs(conv(dtype="float32"), "tflite-runtime"))
    older = workspaces(conv(), "tflite-runtime", architecture="arm64", version="2.11.0")
    assert {each.kind for each in older} == {"im2col"}
    values = [value("in", 1, 4, dtype="int8"), value("w", 8, 4, dtype="int8", constant=True)]
    dense = flow([*values, value("out", 1, 8, dtype="int8")], ["FULLY_CONNECTED in w -> out"])
    assert set(needs(dense, "tflite-runtime")) == {"gemm blocks"}


def test_xnnpack_copies_weights_and_keeps_a_pointer_to_every_row_of_a_window() -> None:
    found = needs(conv(dtype="float32"), "tflite-runtime")
    assert found == {"packed weights": 8 * 9 * 4 * 4 + 8 * 4, "indirection buffer": 100 * 9 * 8}


def test_a_32_bit_build_has_no_xnnpack_so_floats_take_what_the_own_kernels_take() -> None:
    assert needs(conv(dtype="float32"), "tflite-runtime", architecture="armhf") == {"im2col": 10 * 10 * 3 * 3 * 4 * 4}
    depthwise = conv("DEPTHWISE_CONV_2D", dtype="float32")
    assert needs(depthwise, "tflite-runtime", architecture="armhf") == {}


def test_quantised_convolutions_go_to_xnnpack_in_the_newer_runtime_only() -> None:
    assert set(needs(conv(), "ai-edge-litert")) == {"packed weights", "indirection buffer"}
    assert set(needs(conv(), "tflite-runtime")) == {"im2col", *INT8}


def test_depthwise_windows_share_columns() -> None:
    made = conv("DEPTHWISE_CONV_2D", dtype="float32")
    assert needs(made, "tflite-runtime")["indirection buffer"] == 10 * (9 + 9 * 1 * 3) * 8
    wide = conv("DEPTHWISE_CONV_2D", dtype="float32", dilation=2)
    assert needs(wide, "tflite-runtime")["indirection buffer"] == 10 * (9 + 9 * 3 * 3) * 8
    assert needs(conv("DEPTHWISE_CONV_2D"), "tflite-runtime") == {}


def test_a_transposed_convolution_sums_columns_in_32_bits() -> None:
    values = [
        value("shape", 4, dtype="int32", constant=True),
        value("w", 8, 2, 2, 4, dtype="int8", constant=True),
        value("in", 1, 5, 5, 4, dtype="int8"),
        value("out", 1, 10, 10, 8, dtype="int8"),
    ]
    made = flow(values, ["TRANSPOSE_CONV shape w in -> out"])
    assert needs(made, "tflite-runtime") == {"col2im": 5 * 5 * 2 * 2 * 8 * 4}


def test_a_matrix_product_keeps_both_operands_transposed() -> None:
    values = [value("in", 3, 4, dtype="int8"), value("b", 4, 5, dtype="int8"), value("out", 3, 5, dtype="int8")]
    assert needs(flow(values, ["BATCH_MATMUL in b -> out"]), "tflite-runtime") == {"transposed operands": 12 + 20}


def test_odd_graphs_do_no_harm() -> None:
    values = [value("in", 1), value("out", 1)]
    for step in ("CONV_2D in -> out", "CONV_2D _ _ -> out", "CONV_2D in -> _", "CONV_2D in in ->"):
        assert needs(flow(values, [step]), "tflite-runtime") in ({}, {"packed weights": 0})


@pytest.mark.parametrize("build", sorted(path.stem for path in TABLES.glob("*lite*.json")))
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_xnnpack_takes_what_the_build_was_seen_to_delegate(build: str, dtype: str, kind: str) -> None:
    runtime, version, architecture = build.rsplit("-", 2)
    table = load_table(runtime, version, architecture, TABLES.parent)
    assert isinstance(table, TfliteTable)
    seen = next(each for each in table.operators if each.type == kind).dtypes[dtype]
    found = workspaces(conv(kind, dtype=dtype), runtime, architecture=architecture, version=version)
    assert ("packed weights" in {each.kind for each in found}) == (seen == "delegated")
