"""Bytes that operators move: by hand for small graphs, and for a model whose layers are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.graph import read_dataflow, read_model
from sandbox.graph.dataflow import Dataflow
from sandbox.static.traffic import traffic
from sandbox.zoo.classifiers import classifier
from tests.unit.static.flows import flow, value

L2 = 1 << 20


def convolved(*, window: int = 3, stride: int = 1, depth: int = 8) -> Dataflow:
    made = flow(
        [
            value("in", 1, 16, 16, depth),
            value("weights", depth, window, window, depth, constant=True),
            value("out", 1, 16 // stride, 16 // stride, depth),
        ],
        ["CONV_2D in weights -> out"],
    )
    return replace(made, steps=(replace(made.steps[0], strides=(stride, stride)),))


def test_an_operator_reads_its_inputs_and_writes_its_outputs_but_not_its_weights() -> None:
    found = traffic(convolved(), L2)
    assert found is not None
    assert found.activation_bytes == 2 * 16 * 16 * 8 * 4


@pytest.mark.parametrize(("window", "stride", "rows"), [(3, 1, 256), (1, 1, 0), (1, 2, 64), (3, 2, 64)])
def test_im2col_is_for_windows_and_strides(window: int, stride: int, rows: int) -> None:
    found = traffic(convolved(window=window, stride=stride), L2)
    assert found is not None
    assert found.im2col_bytes == rows * window * window * 8 * 4


def test_weights_are_large_that_do_not_stay_in_the_cache_with_their_copy() -> None:
    whole = 3 * 3 * 64 * 64 * 4
    for cache, large in ((2 * whole, 0), (2 * whole - 1, whole)):
        found = traffic(convolved(depth=64), cache)
        assert found is not None
        assert found.large_weight_bytes == large


def test_weights_of_a_single_pixel_are_read_once() -> None:
    dense = flow(
        [value("in", 1, 1, 1, 512), value("weights", 1000, 1, 1, 512, constant=True), value("out", 1, 1, 1, 1000)],
        ["CONV_2D in weights -> out"],
    )
    found = traffic(dense, L2)
    assert found is not None
    assert found.large_weight_bytes == 0


def test_an_open_shape_and_an_unknown_cache_leave_nothing_known() -> None:
    opened = flow([value("in", 1, None), value("out", 1, 4)], ["RELU in -> out"])
    assert traffic(opened, L2) is None
    assert traffic(convolved(), None) is None


def test_a_published_network(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(classifier("mobilenet_v1_1.0_224", "float32"))
    (main,) = read_dataflow(read_model(path), {})
    found = traffic(main, L2)
    assert found is not None
    assert found.im2col_bytes == 112 * 112 * 27 * 4  # its first convolution is the only one that is not pointwise
    layers = [512 * 256, *[512 * 512] * 5, 512 * 1024, 1024 * 1024]
    depths = [512, *[512] * 5, 1024, 1024]
    assert found.large_weight_bytes == 4 * (sum(layers) + sum(depths))
