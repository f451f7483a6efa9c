"""The operators of a model against the table of a build: each native, delegated, a fallback, or why it cannot run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from sandbox.compatibility_result import Delegation, OperatorFinding, OperatorStatus
from sandbox.graph import ModelGraph, Operator
from sandbox.graph.macs import COPIES

from .operator_tables import OnnxKernel, OnnxTable, OperatorTable, TfliteOperator, TfliteTable

_INSERTED_CASTS = {"float16", "bfloat16"}
"""ONNX Runtime casts around nodes of these types that only a float32 kernel fits (insert_cast_transformer.cc)."""


def operator_findings(graph: ModelGraph, table: OperatorTable | None) -> tuple[OperatorFinding, ...]:
    """One finding for each operator of the model, in the file's order."""
    if isinstance(table, TfliteTable):
        known = {each.type: each for each in table.operators}
        return tuple(_tflite(operator, known.get(operator.type), table) for operator in graph.operators)
    if isinstance(table, OnnxTable):
        kernels: dict[tuple[str, str], list[OnnxKernel]] = {}
        for kernel in table.operators:
            kernels.setdefault((kernel.domain, kernel.type), []).append(kernel)
        return tuple(_onnx(operator, kernels, table, graph) for operator in graph.operators)
    why = "no operator table of this build"
    return tuple(
        _finding(operator, *(_custom(operator) if operator.custom else ("unknown", why)))
        for operator in graph.operators
    )


def delegations(findings: Sequence[OperatorFinding]) -> tuple[Delegation, ...]:
    """What each delegate would take, and in how many groups of operators that follow one another."""
    groups: dict[str, list[int]] = {}
    for library, run in groupby(
        (each for each in findings if each.subgraph == 0),
        key=lambda each: each.library if each.status == "delegated" else None,
    ):
        if library is not None:
            groups.setdefault(library, []).append(len(list(run)))
    return tuple(
        Delegation(name=name, operators=sum(sizes), partitions=len(sizes), mode="predicted")
        for name, sizes in groups.items()
    )


def model_problems(graph: ModelGraph, table: OperatorTable | None) -> Iterator[str]:
    """What keeps the model as a whole from loading: ONNX IR version and opset."""
    if not isinstance(table, OnnxTable):
        return
    if table.ir_version and graph.ir_version and graph.ir_version > table.ir_version:
        versions = f"{graph.ir_version}, max supported IR version: {table.ir_version}"
        yield f"Unsupported model IR version: {versions}: set model.ir_version to that, or use a newer onnxruntime"
    opset = graph.opsets.get("", graph.opsets.get("ai.onnx"))
    if table.opset and opset and opset > table.opset:
        yield f"opset {opset} is newer than the {table.opset} that this build supports: export with opset {table.opset}"


def _finding(
    operator: Operator, status: OperatorStatus, detail: str = "", library: str | None = None
) -> OperatorFinding:
    return OperatorFinding(
        index=operator.index,
        subgraph=operator.subgraph,
        type=operator.type,
        version=operator.version,
        dtype=operator.dtype,
        status=status,
        library=library,
        detail=detail,
    )


def _custom(operator: Operator) -> tuple[OperatorStatus, str]:
    if operator.type.startswith("Flex"):
        return "flex", (
            "an operator of TensorFlow itself: these wheels hold no Flex delegate; convert with TFLITE_BUILTINS only, "
            f"or replace {operator.type.removeprefix('Flex')}"
        )
    where = f" of domain {operator.domain}" if operator.domain else ""
    return "custom", f"a custom operator{where}: link or register its library, or convert without it"


def _tflite(operator: Operator, known: TfliteOperator | None, table: TfliteTable) -> OperatorFinding:
    if operator.custom:
        if operator.type in table.custom:
            return _finding(operator, "native", library="TFLite")
        return _finding(operator, *_custom(operator))
    if known is None:
        return _finding(operator, "missing", f"{table.runtime} {table.version} registers no {operator.type}")
    if operator.version is not None and operator.version not in known.versions:
        newest = max(known.versions)
        status: OperatorStatus = "too_new" if operator.version > newest else "missing"
        detail = f"version {operator.version}, but this build has {_spans(known.versions)}"
        return _finding(operator, status, f"{detail}: convert with an older converter or use a newer runtime")
    outcome = known.dtypes.get(operator.dtype or "")
    if outcome is None:
        return _finding(operator, "native", library="TFLite")
    if outcome == "delegated":
        return _finding(operator, "delegated", library="XNNPACK")
    if outcome == "native":
        # another type of the same operator goes to the delegate: this one runs in the runtime's own, slower kernel
        faster = [dtype for dtype, each in known.dtypes.items() if each == "delegated"]
        if faster and operator.type not in COPIES:
            detail = f"XNNPACK takes {operator.type} as {', '.join(faster)} here, not as {operator.dtype}"
            return _finding(operator, "fallback", detail, library="TFLite")
        return _finding(operator, "native", library="TFLite")
    said = outcome.removeprefix("refused: ")
    return _finding(operator, "wrong_dtype", f"this build refuses {operator.type} as {operator.dtype}: {said}")


def _onnx(
    operator: Operator, kernels: dict[tuple[str, str], list[OnnxKernel]], table: OnnxTable, graph: ModelGraph
) -> OperatorFinding:
    known = kernels.get((operator.domain, operator.type), [])
    if not known:
        if operator.custom:
            return _finding(operator, *_custom(operator))
        if _has_body(operator, graph):
            detail = "no kernel of its own: ONNX Runtime runs ONNX's definition of it by other operators"
            return _finding(operator, "native", detail, library="CPUExecutionProvider")
        return _finding(operator, *_unknown(operator, table, graph))
    version = operator.version
    fitting = [kernel for kernel in known if version is None or _covers(kernel, version)]
    if not fitting:
        newest = max(kernel.until or kernel.since for kernel in known)
        if version is not None and version > newest:
            return _finding(operator, "too_new", f"since opset {version}, but this build's kernels end at {newest}")
        if _has_body(operator, graph):
            return _finding(operator, "native", "by ONNX's definition of it", library="CPUExecutionProvider")
        return _finding(operator, "missing", f"no kernel for its definition of opset {version}")
    dtype = operator.dtype
    taking = [kernel for kernel in fitting if dtype is None or kernel.dtypes is None or dtype in kernel.dtypes]
    if taking:
        return _finding(operator, "native", library=taking[0].provider)
    if dtype in _INSERTED_CASTS and any("float32" in (kernel.dtypes or ()) for kernel in fitting):
        detail = f"no {dtype} kernel: ONNX Runtime casts to float32 and back around it"
        return _finding(operator, "fallback", detail, library=fitting[0].provider)
    accepted = sorted({each for kernel in fitting for each in kernel.dtypes or ()})
    if dtype is not None and _names_no_tensor(dtype):
        return _finding(operator, "native", library=fitting[0].provider)
    return _finding(operator, "wrong_dtype", f"no kernel for {dtype}; this build has {', '.join(accepted)}")


def _covers(kernel: OnnxKernel, version: int) -> bool:
    """As ONNX Runtime matches (kernel_registry.cc): an open-ended kernel is for exactly the definition it names."""
    return kernel.since == version or (kernel.until is not None and kernel.since <= version <= kernel.until)


def _has_body(operator: Operator, graph: ModelGraph) -> bool:
    """Whether ONNX defines the operator as a function of others at the model's opset."""
    import onnx  # noqa: PLC0415  # takes half a second, and a TFLite model does not need it

    if operator.domain:
        return False
    try:
        schema = onnx.defs.get_schema(operator.type, min(graph.opsets.get("", 1), onnx.defs.onnx_opset_version()))
    except onnx.defs.SchemaError:
        return False
    # onnx's stubs leave these two out
    return bool(getattr(schema, "has_function", False) or getattr(schema, "has_context_dependent_function", False))


def _unknown(operator: Operator, table: OnnxTable, graph: ModelGraph) -> tuple[OperatorStatus, str]:
    """Of an operator that the build has no kernel for, under any version."""
    import onnx  # noqa: PLC0415

    if operator.version is not None:
        return "missing", f"onnxruntime {table.version} has no kernel for it"
    opset = graph.opsets.get("", graph.opsets.get("ai.onnx"))
    if not operator.domain and opset is not None and opset <= onnx.defs.onnx_opset_version():
        return "missing", f"neither ONNX's opset {opset} nor this build has it"
    return "unknown", "neither the onnx package here nor this build knows it"


def _names_no_tensor(dtype: str) -> bool:
    return dtype in {"sequence", "map", "optional", "undefined"}


def _spans(versions: Iterable[int]) -> str:
    found = sorted(versions)
    return f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0])
