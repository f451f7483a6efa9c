"""From a request and a model to what is chosen: runtime, shapes, inputs. Jobs: `test_plan_jobs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sandbox.errors import UsageError
from sandbox.graph import ModelGraph, read_model
from sandbox.plan import check_npz, choose_runtime, resolve_shapes
from tests import zoo

ALL_RUNTIMES = ("tflite-runtime", "ai-edge-litert", "onnxruntime")


def graph_of(name: str, folder: Path) -> ModelGraph:
    path = folder / name
    path.write_bytes(zoo.make(name))
    return read_model(path)


@pytest.fixture
def tflite(tmp_path: Path) -> ModelGraph:
    return graph_of("tiny_conv_fp32.tflite", tmp_path)


@pytest.fixture
def any_batch(tmp_path: Path) -> ModelGraph:
    return graph_of("dynamic_batch.onnx", tmp_path)


class TestRuntime:
    def test_first_that_reads_the_format(self, tflite: ModelGraph, any_batch: ModelGraph) -> None:
        assert choose_runtime(None, tflite, ALL_RUNTIMES) == ("tflite-runtime", None)
        assert choose_runtime(None, tflite, ALL_RUNTIMES[::-1]) == ("ai-edge-litert", None)
        assert choose_runtime(None, any_batch, ALL_RUNTIMES) == ("onnxruntime", None)

    @pytest.mark.parametrize(
        ("requested", "chosen"),
        [
            ("ai-edge-litert", ("ai-edge-litert", None)),
            ("tflite-runtime@2.14.0", ("tflite-runtime", "2.14.0")),
            ("tflite-runtime@", ("tflite-runtime", None)),
        ],
    )
    def test_asked_for(self, requested: str, chosen: tuple[str, str | None], tflite: ModelGraph) -> None:
        assert choose_runtime(requested, tflite, ALL_RUNTIMES) == chosen

    @pytest.mark.parametrize(
        ("requested", "offered", "message", "hint"),
        [
            (None, ("onnxruntime",), "this image has no runtime for tflite models", "--os; it has: onnxruntime"),
            ("tensorrt@8", ALL_RUNTIMES, "unknown runtime 'tensorrt'", "known: tflite-runtime, ai-edge-litert, onnxr"),
            ("@2.14", ALL_RUNTIMES, "unknown runtime ''", "known: tflite-runtime"),
            ("onnxruntime", ALL_RUNTIMES, "onnxruntime does not run tflite", "use tflite-runtime or ai-edge-litert"),
            ("onnxruntime", (), "onnxruntime does not run tflite", "use an image with a runtime for tflite"),
        ],
    )
    def test_refusal_names_what_fits(
        self, requested: str | None, offered: tuple[str, ...], message: str, hint: str, tflite: ModelGraph
    ) -> None:
        with pytest.raises(UsageError) as caught:
            choose_runtime(requested, tflite, offered)
        assert message in caught.value.message
        assert hint in str(caught.value.hint)


class TestShapes:
    def test_fixed_inputs_need_none(self, tflite: ModelGraph) -> None:
        assert resolve_shapes(tflite, {}) == {}

    def test_open_batch_of_tflite_is_one(self, tmp_path: Path) -> None:
        graph = graph_of("dynamic.tflite", tmp_path)
        name = graph.inputs[0].name
        assert graph.inputs[0].shape == (None, 16)
        assert resolve_shapes(graph, {}) == {name: (1, 16)}
        assert resolve_shapes(graph, {name: (8, 16)}) == {name: (8, 16)}

    def test_a_fixed_tflite_input_can_be_resized(self, tflite: ModelGraph) -> None:
        name = tflite.inputs[0].name
        assert resolve_shapes(tflite, {name: (2, 8, 8, 3)}) == {name: (2, 8, 8, 3)}

    def test_open_batch_of_onnx_must_be_given(self, any_batch: ModelGraph) -> None:
        assert resolve_shapes(any_batch, {"input": (4, 3, 8, 8)}) == {"input": (4, 3, 8, 8)}
        with pytest.raises(UsageError) as caught:
            resolve_shapes(any_batch, {})
        assert "input input float32 ['?', 3, 8, 8] has dimensions that are only known" in caught.value.message
        assert caught.value.hint == "give them: --shape input=1,3,8,8"

    @pytest.mark.parametrize(
        ("shapes", "message"),
        [
            ({"inputs": (1, 3, 8, 8)}, "--shape inputs: the model has no such input"),
            ({"input": (1, 3, 8)}, "--shape input: 3 dimensions given, the model has 4"),
            ({"input": (1, 3, 9, 8)}, "--shape input: the model fixes other sizes"),
        ],
    )
    def test_refusal(self, shapes: dict[str, tuple[int, ...]], message: str, any_batch: ModelGraph) -> None:
        with pytest.raises(UsageError) as caught:
            resolve_shapes(any_batch, shapes)
        assert caught.value.message == message
        assert caught.value.hint == "inputs: input float32 ['?', 3, 8, 8]"


class TestNpz:
    SHAPES: ClassVar = {"input": (2, 3, 8, 8)}

    @staticmethod
    def saved(folder: Path, **arrays: Any) -> Path:
        path = folder / "input.npz"
        np.savez_compressed(path, **arrays)
        return path

    def refusal(self, path: Path, graph: ModelGraph) -> UsageError:
        with pytest.raises(UsageError) as caught:
            check_npz(path, graph, self.SHAPES)
        assert caught.value.message.startswith(f"--input {path}: ")
        return caught.value

    def test_fitting(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        array = np.zeros((2, 3, 8, 8), np.float32)
        check_npz(self.saved(tmp_path, input=array, unused=array), any_batch, self.SHAPES)

    def test_a_single_array_may_have_any_name(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        check_npz(self.saved(tmp_path, arr_0=np.zeros((2, 3, 8, 8), np.float32)), any_batch, self.SHAPES)

    def test_wrong_name(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        error = self.refusal(self.saved(tmp_path, a=np.zeros(1), b=np.zeros(1)), any_batch)
        assert error.message.endswith("no array named 'input'")
        assert error.hint == "it has a, b; the model wants input float32 ['?', 3, 8, 8]"

    @pytest.mark.parametrize(
        ("array", "described"),
        [
            (np.zeros((1, 3, 8, 8), np.float32), "input is float32 [1, 3, 8, 8]"),
            (np.zeros((2, 3, 8, 8), np.float64), "input is float64 [2, 3, 8, 8]"),
            (np.zeros((2, 3, 8, 8), ">f4"), "input is >f4 [2, 3, 8, 8]"),
            (np.float32(1), "input is float32 []"),
        ],
    )
    def test_wrong_shape_or_type(self, array: Any, described: str, any_batch: ModelGraph, tmp_path: Path) -> None:
        error = self.refusal(self.saved(tmp_path, input=array), any_batch)
        assert error.message.endswith(described)
        assert error.hint == "the model wants float32 [2, 3, 8, 8]"

    def test_pickles_are_not_loaded(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        path = self.saved(tmp_path, input=np.array([{}], dtype=object))
        assert "not a readable .npz file" in self.refusal(path, any_batch).message

    @pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
    def test_not_an_npz(self, content: bytes, any_batch: ModelGraph, tmp_path: Path) -> None:
        path = tmp_path / "input.npz"
        path.write_bytes(content)
        assert "not a readable .npz file" in self.refusal(path, any_batch).message

    def test_one_array_is_not_an_npz(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        path = tmp_path / "input.npy"
        np.save(path, np.zeros(4))
        assert "not a readable .npz file" in self.refusal(path, any_batch).message

    def test_missing(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        assert "No such file" in self.refusal(tmp_path / "none.npz", any_batch).message

    def test_no_flipped_byte_ends_in_another_error(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        array = np.arange(2 * 3 * 8 * 8, dtype=np.float32).reshape(2, 3, 8, 8)
        content = self.saved(tmp_path, input=array).read_bytes()
        path = tmp_path / "damaged.npz"
        refused = 0
        for at in range(len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
            try:
                check_npz(path, any_batch, self.SHAPES)
            except UsageError:
                refused += 1
        assert refused > len(content) // 2

    def test_an_array_larger_than_memory(self, any_batch: ModelGraph, tmp_path: Path) -> None:
        import zipfile  # noqa: PLC0415

        path = tmp_path / "huge.npz"
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("input.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        assert "not a readable .npz file" in self.refusal(path, any_batch).message
