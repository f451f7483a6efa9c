"""What a model file holds: inputs, outputs, operators and how many bytes of weights.

`read_model` is the one door. The file is untrusted: nothing in it is executed or unpickled, and a file that is
damaged, foreign or hostile ends in one `DataFileError`, never in another exception.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from sandbox.errors import DataFileError

from .dataflow import Dataflow

Format = Literal["tflite", "onnx"]

_MAKE_ONE_OF = "give a .tflite or an .onnx file"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of a model."""

    name: str
    dtype: str
    """numpy's name where numpy has the type (``float32``), else the format's in lower case (``int4``, ``bfloat16``)."""
    shape: tuple[int | str | None, ...]
    """Per dimension its size, its symbolic name, or ``None`` where only the run time knows it."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One node of the graph."""

    index: int
    """Position within its subgraph, as the runtimes' own profilers number nodes."""
    type: str
    """``CONV_2D``, ``Conv``, or the custom code; ``BUILTIN_<n>`` for a TFLite number newer than the schema here."""
    version: int | None
    """TFLite: the operator's version. ONNX: the opset in which this definition appeared (``since_version``), by which
    runtimes look kernels up; ``None`` for an operator or opset that the onnx package here does not know."""
    domain: str
    """ONNX operator domain; empty for the standard one and for TFLite."""
    custom: bool
    """Whether the runtime needs an operator library or delegate that it does not ship."""
    inputs: tuple[str, ...]
    """Tensor names; empty for an optional input left out."""
    outputs: tuple[str, ...]
    dtype: str | None
    """Type of the first output, else of the first input; ``None`` where the file does not say."""
    subgraph: int
    """0 for the main graph; bodies of control flow and functions follow."""


@dataclass(frozen=True, kw_only=True)
class ModelGraph:
    """A model file, read. Weights are counted, not kept."""

    path: Path
    format: Format
    size_bytes: int
    """Of the model file alone, without `external_files`."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    weights_bytes: int
    """Constant data as stored, external files included."""
    producer: str
    """Who wrote the file, by its own word: TFLite's description, ONNX's producer and version. May be empty."""
    opsets: Mapping[str, int] = field(default_factory=dict, hash=False)
    """ONNX: operator domain → opset version. Empty for TFLite."""
    ir_version: int | None = None
    """ONNX IR version; ``None`` for TFLite."""
    weight_types: tuple[str, ...] = ()
    """Types of the constant data, sorted; ``sparse`` before those that are stored without their zeros."""
    external_files: tuple[Path, ...] = ()
    """Files beside the model that hold its weights and must travel with it (ONNX external data)."""

    @cached_property
    def sha256(self) -> str:
        """Of the model file alone, in hexadecimal. Read when first asked for: about a second per GB.

        Raises `DataFileError` when the file has gone meanwhile.
        """
        with opened(self.path) as content:
            return hashlib.sha256(content).hexdigest()


def read_model(path: Path) -> ModelGraph:
    """The graph in the ``.tflite`` or ``.onnx`` file at ``path``, told apart by content. Raises `DataFileError`.

    The weights are not read, so a model of 1 GB takes no longer than a small one of as many operators.
    """
    with opened(path) as content:
        return _read(path, content)


def read_dataflow(graph: ModelGraph, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Dataflow, ...]:
    """Who writes and reads which tensor: the main graph, then (TFLite only) bodies of control flow.

    ``shapes`` are those of inputs that the run fixes. ONNX shapes follow from them by inference; a TFLite file only
    holds the sizes of its own shapes, so with others all but the inputs are open. Raises `DataFileError`.
    """
    with opened(graph.path) as content:
        if graph.format == "tflite":
            from . import tflite_dataflow  # noqa: PLC0415  # each format's library takes time to load

            return tflite_dataflow.read(graph.path, content, shapes)
        from . import onnx_dataflow  # noqa: PLC0415

        return (onnx_dataflow.read(graph.path, content, shapes),)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[mmap.mmap]:
    """The file's content, mapped and not read. Raises `DataFileError` for what is no regular, readable, filled file."""
    size_bytes = _size_of_regular_file(path)
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise DataFileError(
            f"{path} cannot be read: {error}", hint="check its permissions and that it is whole"
        ) from error
    yield content  # closed with its last view: arrays made from it may be alive when this block is left


def _read(path: Path, content: mmap.mmap) -> ModelGraph:
    # Each reader loads its format's library, which costs a tenth to half a second that the other format need not pay.
    from . import foreign  # noqa: PLC0415

    if content[4:8] == b"TFL3":
        from . import tflite  # noqa: PLC0415

        return tflite.read(path, content)
    if known := foreign.recognise(path, content):
        raise DataFileError(f"{path} {known.what}", hint=known.hint)
    if foreign.may_be_onnx(content):
        from . import onnx  # noqa: PLC0415

        return onnx.read(path, content)
    raise DataFileError(f"{path} is neither a TFLite nor an ONNX model", hint=_MAKE_ONE_OF)


def _size_of_regular_file(path: Path) -> int:
    try:
        status = path.stat()
        is_saved_model = stat.S_ISDIR(status.st_mode) and (path / "saved_model.pb").exists()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataFileError(f"model file {path} does not exist", hint="check the path") from error
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} cannot be read: {error}", hint="check its name and its permissions") from error
    if is_saved_model:
        hint = f"convert it with tf.lite.TFLiteConverter.from_saved_model({str(path)!r}).convert()"
        raise DataFileError(f"{path} is a TensorFlow SavedModel directory, not a model file", hint=hint)
    if stat.S_ISDIR(status.st_mode):
        raise DataFileError(f"{path} is a directory, not a model file", hint=_MAKE_ONE_OF)
    if not stat.S_ISREG(status.st_mode):
        raise DataFileError(f"{path} is not a regular file", hint=_MAKE_ONE_OF)
    if status.st_size == 0:
        raise DataFileError(f"{path} is empty", hint="copy or download it again")
    return status.st_size
