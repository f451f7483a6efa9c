"""What is fed to the model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.guest.guest_modules import load

inputs = load("inputs")
request = load("request")


def ask(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "model": "m.tflite",
        "format": "tflite",
        "runtime": "tflite-runtime",
        "run_dir": Path("/nowhere"),
    }
    return request.Request(**{**fields, **changes})


def draw(dtype: str, shape: tuple[int, ...] = (4096,), seed: int = 0) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = inputs.random_values(
        inputs.InputSpec("x", dtype, shape), np.random.RandomState(seed)
    )
    return values


def test_random_values_never_change_for_a_seed() -> None:
    """Recorded once; results of different images and of different years must stay comparable."""
    digests = {dtype: hashlib.sha256(draw(dtype).tobytes()).hexdigest()[:12] for dtype in ("float32", "int8", "int64")}
    assert digests == {"float32": "0931b77815d9", "int8": "88e70157944a", "int64": "ba5ec545c4e2"}


def test_random_values_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw("float32")
    monkeypatch.setattr(inputs, "CHUNK", 1000)
    assert np.array_equal(draw("float32"), whole)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("float32", 0, 1), ("float16", 0, 1), ("int8", -128, 127), ("uint8", 0, 255), ("int32", 0, 1), ("int64", 0, 1)],
)
def test_random_values_suit_the_type(dtype: str, low: float, high: float) -> None:
    values = draw(dtype)
    assert values.dtype.name == dtype
    assert values.min() >= low
    assert values.max() <= high
    assert float(values.max()) - float(values.min()) > 0.9 * (high - low)


def test_random_booleans_are_both() -> None:
    assert 0.4 < draw("bool").mean() < 0.6


def test_scalars_and_empty_inputs() -> None:
    assert draw("float32", ()).shape == ()
    assert draw("float32", (0, 3)).size == 0


SPECS = [inputs.InputSpec("image:0", "float32", (-1, 2), ("image",)), inputs.InputSpec("mask", "bool", (2,))]


def test_shapes_are_found_by_name_and_by_alias() -> None:
    for name in ("image", "image:0"):
        source = inputs.InputSource(ask(shapes={name: (3, 2)}))
        assert source.resolve_shapes(SPECS) == {"image:0": (3, 2), "mask": (2,)}


def test_a_dynamic_dimension_must_be_given() -> None:
    with pytest.raises(request.InputError, match=r"--shape image:0=N,2"):
        inputs.InputSource(ask()).resolve_shapes(SPECS)


def test_a_shape_for_an_unknown_input_is_an_error() -> None:
    with pytest.raises(
        request.InputError, match=r"'x', which is no input of the model; its inputs are image:0 \[\?,2\]"
    ):
        inputs.InputSource(ask(shapes={"x": (1,)})).resolve_shapes(SPECS)


def from_npz(tmp_path: Path, **arrays: Any) -> Any:
    np.savez(tmp_path / "in.npz", **arrays)
    return inputs.InputSource(ask(inputs="npz", npz=str(tmp_path / "in.npz")))


def test_arrays_give_their_shape_to_dynamic_inputs(tmp_path: Path) -> None:
    source = from_npz(tmp_path, image=np.ones((5, 2), "float32"), mask=np.ones(2, bool))
    assert source.resolve_shapes(SPECS)["image:0"] == (5, 2)


def test_a_single_array_needs_no_name(tmp_path: Path) -> None:
    spec = inputs.InputSpec("image", "float32", (1, 2))
    values = from_npz(tmp_path, whatever=np.ones((1, 2), "float32")).values([spec])
    assert values["image"].tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 2), "float32"), r"takes shape \[1,2\], the file has \[2,2\]"),
        (np.ones((1, 2), "float64"), "takes float32, the file has float64"),
    ],
)
def test_an_array_that_does_not_fit_is_an_error(tmp_path: Path, array: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(request.InputError, match=message):
        from_npz(tmp_path, image=array).values([inputs.InputSpec("image", "float32", (1, 2))])


def test_a_missing_array_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(request.InputError, match="no array for input 'mask'"):
        from_npz(tmp_path, image=np.ones((1, 2), "float32")).resolve_shapes(SPECS)


def test_zeros_and_strings() -> None:
    source = inputs.InputSource(ask(inputs="zeros"))
    assert not source.values([inputs.InputSpec("x", "int8", (3,))])["x"].any()
    with pytest.raises(request.InputError, match="takes strings"):
        source.values([inputs.InputSpec("x", "string", (3,))])
