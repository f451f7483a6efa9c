"""ONNX protobuf → `ModelGraph`. Weights in external files are counted, and the files checked, but not opened."""

from __future__ import annotations

import mmap
import stat
from collections import ChainMap
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

from sandbox.errors import DataFileError

from . import ModelGraph, Operator, Tensor
from .wire import MalformedError, TooLargeError, without_weights

_DTYPES: dict[int, str] = {number: name.lower() for name, number in TensorProto.DataType.items()}
_DTYPES |= {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}
_INT32_FIELD_BYTES = {"int32": 4, "uint16": 2, "int16": 2, "float16": 2, "bfloat16": 2}  # the rest of int32_data: 1
_SHIPPED_DOMAINS = ("", "ai.onnx", "com.microsoft", "com.ms")  # and their subdomains: in every ONNX Runtime build
_MAX_OPERATORS = 250_000  # as for TFLite
_MAX_SUBGRAPHS = 50_000
_HINT_DAMAGED = "copy, download or export it again"

_Types = MutableMapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A model without its large tensors."""

    model: ModelProto
    left_out_bytes: int


@dataclass(kw_only=True)
class _Reading:
    """What is gathered on the way through one model."""

    path: Path
    opsets: dict[str, int]
    functions: frozenset[tuple[str, str]]
    """(domain, name) of the functions that the model itself defines."""
    operators: list[Operator] = field(default_factory=list)
    weights_bytes: int = 0
    weight_types: set[str] = field(default_factory=set)
    external: dict[str, tuple[Path, int]] = field(default_factory=dict)
    """Files with weights, and their sizes, by the name that the model has for them."""
    schemas: dict[tuple[str, str], onnx.defs.OpSchema | None] = field(default_factory=dict)


def read(path: Path, content: mmap.mmap) -> ModelGraph:
    """The graph in ``content`` if it is an ONNX model. Raises `DataFileError`.

    A call of a function that the model defines is not an operator; the function's body is listed as a subgraph.
    """
    whole = parsed(path, content)
    model = whole.model
    reading = _Reading(
        path=path,
        opsets={_domain(opset.domain): opset.version for opset in model.opset_import},
        weights_bytes=whole.left_out_bytes,
        functions=frozenset((_domain(each.domain), text(each.name)) for each in model.functions),
    )
    _walk(model, reading)
    graph = model.graph
    if not reading.operators:
        raise DataFileError(f"{path} is an ONNX model without operators: nothing to run", hint="export it again")
    if not graph.output:
        raise DataFileError(f"{path} is an ONNX model without outputs: nothing to run", hint="export it again")
    # Before IR version 4 every initializer was listed as an input too.
    constants = {tensor.name for tensor in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    return ModelGraph(
        path=path,
        format="onnx",
        size_bytes=len(content),
        inputs=tuple(tensor_of(value) for value in graph.input if value.name not in constants),
        outputs=tuple(tensor_of(value) for value in graph.output),
        operators=tuple(reading.operators),
        weights_bytes=reading.weights_bytes,
        producer=f"{text(model.producer_name)} {text(model.producer_version)}".strip(),
        opsets=reading.opsets,
        ir_version=model.ir_version,
        weight_types=tuple(sorted(reading.weight_types)),
        external_files=tuple(dict.fromkeys(file for file, _ in reading.external.values())),
    )


def parsed(path: Path, content: mmap.mmap) -> Parsed:
    """The protobuf in ``content``, less its weights. Raises `DataFileError` when it is no ONNX model."""
    try:
        slim = without_weights(content)
        model = ModelProto.FromString(slim.message)
    except TooLargeError as error:
        hint = "if it is a real model, keep its constants in tensors rather than in attributes"
        raise DataFileError(f"{path} is no ONNX model of a readable size: {error}", hint=hint) from error
    except (MalformedError, DecodeError) as error:
        if path.suffix == ".onnx" or _begins_like_onnx(content):
            raise DataFileError(f"{path} is a damaged or truncated ONNX model", hint=_HINT_DAMAGED) from error
        raise _neither(path) from error
    if not model.HasField("graph"):
        if model.ir_version and path.suffix == ".onnx":
            raise DataFileError(f"{path} is an ONNX file without a graph", hint=_HINT_DAMAGED)
        raise _neither(path)
    if not model.opset_import:
        raise DataFileError(f"{path} is an ONNX model that names no opset: truncated?", hint=_HINT_DAMAGED)
    return Parsed(model=model, left_out_bytes=slim.left_out_bytes)


def _begins_like_onnx(content: mmap.mmap) -> bool:
    """An IR version, then producer, producer version, graph or opsets: what every exporter writes first."""
    return content[:1] == b"\x08" and content[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42")


def _neither(path: Path) -> DataFileError:
    return DataFileError(f"{path} is neither a TFLite nor an ONNX model", hint="give a .tflite or an .onnx file")


def _walk(model: ModelProto, reading: _Reading) -> None:
    """Visit the main graph, then the functions' bodies, then the bodies of control flow as they are met."""
    outermost: ChainMap[str, str] = ChainMap()
    queue: list[tuple[GraphProto | Iterable[NodeProto], ChainMap[str, str]]] = [(model.graph, outermost)]
    queue += [(function.node, ChainMap()) for function in model.functions]
    number = 0
    while number < len(queue):
        body, types = queue[number]
        if isinstance(body, GraphProto):
            _note_types_and_weights(body, types, reading)
        for index, node in enumerate(body.node if isinstance(body, GraphProto) else body):
            if len(reading.operators) == _MAX_OPERATORS:
                message = f"{reading.path} has more than {_MAX_OPERATORS} operators, more than any model"
                raise DataFileError(message, hint=_HINT_DAMAGED)
            operator = _operator(node, index, number, types, reading)
            if (operator.domain, operator.type) not in reading.functions:
                reading.operators.append(operator)
            for attribute in node.attribute:
                for tensor in _tensors_of(attribute):
                    _count(tensor, reading)
                # A body sees the names of the graph around it.
                queue += [(inner, types.new_child()) for inner in islice(_graphs_of(attribute), _MAX_SUBGRAPHS)]
        if len(queue) > _MAX_SUBGRAPHS:
            message = f"{reading.path} has more than {_MAX_SUBGRAPHS} subgraphs, more than any model"
            raise DataFileError(message, hint=_HINT_DAMAGED)
        number += 1


def _note_types_and_weights(graph: GraphProto, types: _Types, reading: _Reading) -> None:
    for value in (*graph.input, *graph.value_info, *graph.output):
        if (dtype := tensor_of(value).dtype) != "undefined":
            types[text(value.name)] = dtype
    for tensor in graph.initializer:
        types[text(tensor.name)] = dtype_name(tensor.data_type)
        _count(tensor, reading)
    for sparse in graph.sparse_initializer:
        types[text(sparse.values.name)] = dtype_name(sparse.values.data_type)
        _count(sparse.values, reading, kind="sparse ")
        _count(sparse.indices, reading)


def _operator(node: NodeProto, index: int, subgraph: int, types: _Types, reading: _Reading) -> Operator:
    kind, domain = text(node.op_type), _domain(node.domain)
    inputs = tuple(text(name) for name in node.input)
    outputs = tuple(text(name) for name in node.output)
    schema = _schema(kind, domain, reading)
    if outputs and outputs[0] not in types and schema and (inferred := _output_dtype(node, schema, types)):
        types[outputs[0]] = inferred
    return Operator(
        index=index,
        type=kind,
        version=schema.since_version if schema else None,
        domain=domain,
        custom=not _is_shipped(domain) and (domain, kind) not in reading.functions,
        inputs=inputs,
        outputs=outputs,
        dtype=next((types[name] for name in (*outputs[:1], *inputs) if name in types), None),
        subgraph=subgraph,
    )


def _schema(kind: str, domain: str, reading: _Reading) -> onnx.defs.OpSchema | None:
    """ONNX's definition of the operator at the model's opset, or ``None`` if the onnx package here has none."""
    key = (kind, domain)
    if key not in reading.schemas:
        opset = reading.opsets.get(domain, 0)
        known = 0 < opset < 1 << 31 and (domain or opset <= onnx.defs.onnx_opset_version())
        try:
            reading.schemas[key] = onnx.defs.get_schema(kind, opset, domain) if known else None
        except onnx.defs.SchemaError:
            reading.schemas[key] = None
    return reading.schemas[key]


def _output_dtype(node: NodeProto, schema: onnx.defs.OpSchema, types: _Types) -> str | None:
    """Type of the first output by the definition: fixed, that of an input, or named by the ``to`` attribute."""
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.type == AttributeProto.INT:
            return dtype_name(attribute.i)
        if attribute.name == "value" and attribute.type == AttributeProto.TENSOR:
            return dtype_name(attribute.t.data_type)
    if not schema.outputs:
        return None
    output = schema.outputs[0]
    for name, formal in zip(node.input, schema.inputs, strict=False):
        if formal.type_str == output.type_str and text(name) in types:
            return types[text(name)]
    if len(output.types) != 1:
        return None
    only = next(iter(output.types)).removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(only, only)


def _is_shipped(domain: str) -> bool:
    return not domain or any(domain == known or domain.startswith(f"{known}.") for known in _SHIPPED_DOMAINS[1:])


def _graphs_of(attribute: AttributeProto) -> Iterator[GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _tensors_of(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    for sparse in (
        *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
        *attribute.sparse_tensors,
    ):
        yield from (sparse.values, sparse.indices)


def _count(tensor: TensorProto, reading: _Reading, *, kind: str = "") -> None:
    reading.weight_types.add(f"{kind}{dtype_name(tensor.data_type)}")
    if tensor.data_location == TensorProto.EXTERNAL:
        reading.weights_bytes += _external_bytes(tensor, reading)
    elif tensor.HasField("raw_data"):
        reading.weights_bytes += len(tensor.raw_data)
    else:
        reading.weights_bytes += (
            4 * len(tensor.float_data)
            + 8 * (len(tensor.int64_data) + len(tensor.double_data) + len(tensor.uint64_data))
            + _INT32_FIELD_BYTES.get(dtype_name(tensor.data_type), 1) * len(tensor.int32_data)
            + sum(map(len, tensor.string_data))
        )


def _external_bytes(tensor: TensorProto, reading: _Reading) -> int:
    """Length of a tensor kept in another file, whose name an untrusted model chose."""
    entries = {text(entry.key): text(entry.value) for entry in tensor.external_data}
    location = entries.get("location", "")
    if location not in reading.external:
        file = _beside(reading.path, location)
        reading.external[location] = (file, _size_bytes(file, reading.path))
    size_bytes = reading.external[location][1]
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size_bytes - offset)
    except ValueError as error:
        message = f"{reading.path} has a tensor with a bad place in {location!r}"
        raise DataFileError(message, hint=_HINT_DAMAGED) from error
    if offset < 0 or length < 0 or offset + length > size_bytes:
        message = f"{reading.path} keeps weights in {location!r}, which is too short: truncated?"
        raise DataFileError(message, hint=_HINT_DAMAGED)
    return length


def _size_bytes(file: Path, model: Path) -> int:
    try:
        status = file.stat()
    except OSError as error:
        hint = f"put {file.name!r} into the model's folder; an ONNX model with external data is several files"
        raise DataFileError(f"{model} keeps weights in {file.name!r}, which is missing", hint=hint) from error
    if not stat.S_ISREG(status.st_mode):
        raise DataFileError(f"{model} keeps weights in {file.name!r}, which is no file", hint=_HINT_DAMAGED)
    return status.st_size


def _beside(model: Path, location: str) -> Path:
    """The file called ``location`` in the model's folder. Refuses any name that leads out of it, also by a link."""
    names = (PurePosixPath(location), PureWindowsPath(location))
    leads_out = any(name.is_absolute() or ".." in name.parts or name.drive for name in names)
    file = model.parent / location
    if not location or "\0" in location or leads_out or not _is_inside(file, model):
        hint = "save it anew with onnx.save(..., save_as_external_data=True, location='weights.bin') if you trust it"
        raise DataFileError(f"{model} wants weights from {location!r}, outside its own folder: refused", hint=hint)
    return file


def _is_inside(file: Path, model: Path) -> bool:
    """Whether ``file`` with its links followed lies in the model's folder.

    Model caches link a model and its data into one store, so the folder behind the model's own link counts too.
    """
    try:
        real = file.resolve()
        return any(real.is_relative_to(folder) for folder in (model.parent.resolve(), model.resolve().parent))
    except (OSError, RuntimeError):  # a loop of links; RuntimeError before Python 3.13
        return False


def tensor_of(value: ValueInfoProto) -> Tensor:
    kind = value.type.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return Tensor(name=text(value.name), dtype=(kind or "undefined").removesuffix("_type"), shape=())
    declared: TypeProto.Tensor | TypeProto.SparseTensor = getattr(value.type, kind)
    dims = []
    for dim in declared.shape.dim:
        size = dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None
        dims.append(text(dim.dim_param) or None if dim.HasField("dim_param") else size)
    return Tensor(name=text(value.name), dtype=dtype_name(declared.elem_type), shape=tuple(dims))


def dtype_name(number: int) -> str:
    return _DTYPES.get(number, f"datatype_{number}")


def _domain(name: str) -> str:
    return "" if text(name) == "ai.onnx" else text(name)


def text(value: str | bytes) -> str:
    """protobuf hands out ``bytes`` where a string field is not UTF-8."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
