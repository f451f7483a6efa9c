"""Whatever happens to a model file, it gives a graph and a memory plan, or a `DataFileError`, and soon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import DataFileError
from sandbox.graph import ModelGraph, read_dataflow, read_model
from sandbox.static.memory import plan_memory
from tests import zoo

PROJECT = Path(__file__).parents[3]
REAL_FILES = (
    PROJECT.parent / "shared" / "models" / "kws_ref_model.tflite",
    PROJECT.parent / "shared" / "models" / "ad01_int8.tflite",
    PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite",
    PROJECT / "examples" / "mobilenet_v1_0.25_128_fp32.onnx",
)

TFLITE = (zoo.tiny_conv_tflite("int8"), zoo.dynamic_tflite(), zoo.custom_op_tflite())
ONNX = (zoo.tiny_onnx(), zoo.endless_model_onnx())
REAL = tuple(path.read_bytes() for path in REAL_FILES if path.exists())

TELLING_NUMBERS = (0, 1, -1, 4, 127, 2**16, 1_000_000, 2**31 - 1, -(2**31))


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change at a place between the file's first (0) and last byte (1)."""

    kind: str
    place: float
    source: float
    """Where a splice takes its bytes from."""
    length: int
    number: int

    def apply(self, content: bytearray) -> None:
        at, source = int(self.place * len(content)), int(self.source * len(content))
        if self.kind == "flip" and at < len(content):
            content[at] ^= 1 << self.number % 8
        elif self.kind == "number":
            content[at : at + 4] = (self.number % 2**32).to_bytes(4, "little")
        elif self.kind == "splice":
            content[at : at + self.length] = content[source : source + self.number % 100]
        elif self.kind == "truncate":
            del content[at:]


# The structure of most files lies near one of their ends, the weights in between.
PLACES = st.floats(0, 1) | st.floats(0, 0.05) | st.floats(0.9, 1)
EDITS = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(["flip", "number", "number", "splice", "truncate"]),
        place=PLACES,
        source=PLACES,
        length=st.integers(0, 100),
        number=st.sampled_from(TELLING_NUMBERS) | st.integers(0, 2**32 - 1),
    ),
    min_size=1,
    max_size=8,
)

bounded = settings(max_examples=800, deadline=timedelta(seconds=5), derandomize=True, database=None)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "model"


def outcome(path: Path) -> ModelGraph | DataFileError:
    try:
        graph = read_model(path)
        plan = plan_memory(graph, read_dataflow(graph, {}), runtime="ai-edge-litert", architecture="arm64")
    except DataFileError as error:
        return error
    assert plan.open or (plan.activations_bytes or 0) >= 0
    return graph


def survives(path: Path, original: bytes, edits: list[Edit]) -> None:
    content = bytearray(original)
    for edit in edits:
        edit.apply(content)
    path.write_bytes(content)
    found = outcome(path)
    if isinstance(found, DataFileError):
        assert str(path) in found.message
        assert found.hint
    else:
        assert found.operators
        assert found.weights_bytes <= len(content)
        assert all(isinstance(name, str) for each in found.operators for name in (*each.inputs, *each.outputs))


@bounded
@given(original=st.sampled_from(TFLITE), edits=EDITS)
def test_changed_tflite(path: Path, original: bytes, edits: list[Edit]) -> None:
    survives(path, original, edits)


@bounded
@given(original=st.sampled_from(ONNX), edits=EDITS)
def test_changed_onnx(path: Path, original: bytes, edits: list[Edit]) -> None:
    survives(path, original, edits)


@settings(bounded, max_examples=300)
@given(original=st.sampled_from(REAL or TFLITE), edits=EDITS)
def test_changed_real_models(path: Path, original: bytes, edits: list[Edit]) -> None:
    survives(path, original, edits)


@settings(bounded, max_examples=300)
@given(
    start=st.sampled_from([b"", b"\x1c\0\0\0TFL3", b"\x08\x08\x12\x00", b"PK\x03\x04", b"\x0a", b"\x80\x02"]),
    rest=st.binary(max_size=300),
)
def test_noise(path: Path, start: bytes, rest: bytes) -> None:
    path.write_bytes(start + rest)
    found = outcome(path)
    assert isinstance(found, ModelGraph) or found.hint
