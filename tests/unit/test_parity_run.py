"""What surrounds the runs of a comparison: the user's file, the model with more outputs, the first operator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sandbox.errors import UsageError
from sandbox.graph import ModelGraph, read_model
from sandbox.parity import Parity, Side, SideName
from sandbox.parity_run import _first_departure, _given, _positions, _Ran, _steps, _with_outputs
from sandbox.plan import ProfileRequest
from sandbox.reports import parity_terminal
from sandbox.reports.layout import WIDTH, printed
from tests import zoo


def read(folder: Path, name: str) -> ModelGraph:
    path = folder / name
    path.write_bytes(zoo.make(name))
    return read_model(path)


def ran(side: SideName, graph: ModelGraph, arrays: Mapping[str, NDArray[np.float32]]) -> _Ran:
    return _Ran(side=Side(side=side, what=f"{side} of {graph.format}"), arrays=list(arrays.items()))


@pytest.mark.parametrize("name", ["tiny_conv_fp32.tflite", "tiny.onnx"])
def test_the_first_operator_that_departs(name: str, tmp_path: Path) -> None:
    graph = read(tmp_path, name)
    steps = _steps(graph, ProfileRequest(model=graph.path, device="rpi4b"))
    results = [f"tensor {p}" for p in _positions(steps)] if graph.format == "tflite" else [step.name for step in steps]
    right = {key: np.ones((1, 4), np.float32) for key in results}
    second, third = results[1], results[2]
    wrong = {**right, second: np.full((1, 4), 2.0, np.float32), third: np.full((1, 4), 3.0, np.float32)}

    found, why = _first_departure(
        [ran("device_plain", graph, wrong), ran("reference", graph, right)], steps, graph, "emulated"
    )
    assert why is None
    assert found is not None
    assert (found.index, found.type, found.against) == (1, steps[1].type, "reference")
    assert found.difference.departs

    same = _first_departure(
        [ran("device_plain", graph, right), ran("reference", graph, right)], steps, graph, "emulated"
    )
    assert same == (None, None)
    broken = _Ran(side=Side(side="reference", what="evaluator"), arrays="no kernel for X")
    assert _first_departure([ran("device_plain", graph, right), broken], steps, graph, "emulated") == (
        None,
        "no kernel for X",
    )


def test_a_model_with_the_results_of_all_operators(tmp_path: Path) -> None:
    graph = read(tmp_path, "tiny.onnx")
    steps = _steps(graph, ProfileRequest(model=graph.path, device="rpi4b"))
    path = _with_outputs(graph, steps, tmp_path / "more.onnx")
    more, own = onnx.load(path), onnx.load(graph.path)
    assert [o.name for o in more.graph.output] == [
        "probabilities",
        *(n.name for n in own.graph.node if n.name != "probabilities"),
    ]
    assert list(more.graph.node) == list(own.graph.node)
    assert list(more.graph.initializer) == list(own.graph.initializer)


def test_given_outputs_by_name_and_as_the_only_one(tmp_path: Path) -> None:
    graph = read(tmp_path, "tiny.onnx")
    for name in ("probabilities", "mine"):
        np.savez(tmp_path / "right.npz", **{name: np.zeros((1, 10))})  # type: ignore[arg-type]
        ((found, array),) = _given(tmp_path / "right.npz", graph)
        assert found == "probabilities"
        assert array.dtype == np.float32, "floats of any precision will do"
    np.savez(tmp_path / "right.npz", mine=np.zeros(1), other=np.zeros(1))
    with pytest.raises(UsageError, match="no array named 'probabilities'") as caught:
        _given(tmp_path / "right.npz", graph)
    assert "probabilities" in str(caught.value.hint)


def test_the_block_of_the_report(tmp_path: Path) -> None:
    graph = read(tmp_path, "tiny.onnx")
    steps = _steps(graph, ProfileRequest(model=graph.path, device="rpi4b"))
    names = [step.name for step in steps]
    right = {name: np.ones((1, 4), np.float32) for name in names}
    wrong = {**right, names[0]: np.zeros((1, 4), np.float32)}
    first, _ = _first_departure(
        [ran("device_plain", graph, wrong), ran("reference", graph, right)], steps, graph, "emulated"
    )
    sides = (
        Side(side="device", what="onnxruntime\x1b[2J"),
        Side(side="host", what="not run", unavailable="no namespaces"),
    )
    text = printed(
        parity_terminal.lines(Parity(inputs="zeros", sides=sides, comparisons=(), first_departure=first)), colour=False
    )
    assert "\x1b" not in text
    assert "host       not run: unavailable, because no namespaces" in text
    assert "first      operator 0, Conv conv, is the first that departs from reference:" in text
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 11)), r"'probabilities' is float64 \[1, 11\], the model gives float32 \[1, 10\]"),
        (np.zeros(10), r"is float64 \[10\]"),
        (np.array(["a"] * 10).reshape(1, 10), r"is <U1 \[1, 10\]"),
    ],
)
def test_outputs_that_no_run_can_give_are_refused_at_once(array: Any, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", probabilities=array)
    with pytest.raises(UsageError, match=words):
        _given(tmp_path / "wrong.npz", read(tmp_path, "tiny.onnx"))


def test_outputs_of_other_inputs_may_have_other_shapes(tmp_path: Path) -> None:
    np.savez(tmp_path / "right.npz", probabilities=np.zeros((2, 10)))
    ((_, array),) = _given(tmp_path / "right.npz", read(tmp_path, "tiny.onnx"), reshaped=True)
    assert array.shape == (2, 10)


def test_one_array_without_a_name_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(4))
    with pytest.raises(UsageError, match=r"not a readable \.npz file \(it holds one array without a name\)"):
        _given(tmp_path / "one.npy", read(tmp_path, "tiny.onnx"))
