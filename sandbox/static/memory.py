"""How much memory a model needs, from its file alone: activations by operator, copies of weights, the sum. Pure.

The parts are those that the runtimes' sources name; what the runtime itself takes is added from `baseline`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.graph import ModelGraph, read_dataflow
from sandbox.graph.dataflow import Dataflow

from .arena import Buffer, place
from .initializers import packed_beside_originals
from .lifetimes import InPlace, lifetimes, live_bytes
from .workspace import Workspace, workspaces

_ARITHMETIC = InPlace(inputs=(0, 1))
_UNARY = InPlace(inputs=(0,))
_SAME_DATA = InPlace(inputs=(0,), same_data=True)
_IN_PLACE: Mapping[str, Mapping[str, InPlace]] = {
    "tflite": {  # `inplace_operator` of the registrations in tensorflow/lite/kernels
        **dict.fromkeys(("ADD", "SUB", "MUL", "DIV"), _ARITHMETIC),
        **dict.fromkeys(("SOFTMAX", "DYNAMIC_UPDATE_SLICE"), _UNARY),
        **dict.fromkeys(("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "BITCAST"), _SAME_DATA),
    },
    "onnx": {  # `MayInplace` and `Alias` of the kernel definitions in onnxruntime/core/providers/cpu
        **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _ARITHMETIC),
        **dict.fromkeys(("Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "HardSigmoid", "Cast"), _UNARY),
        **dict.fromkeys(("Neg", "Abs", "Exp", "Log", "Sqrt", "Floor", "Ceil", "Reciprocal", "Not"), _UNARY),
        **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"), _SAME_DATA),
    },
}


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """What one operator needs while it runs, in bytes."""

    index: int
    type: str
    name: str
    live_bytes: int
    """All tensors that are alive in this step, its inputs and outputs among them."""
    workspace_bytes: int
    """Temporaries of the operator itself."""

    @property
    def total_bytes(self) -> int:
        """Both together."""
        return self.live_bytes + self.workspace_bytes


@dataclass(frozen=True, kw_only=True)
class Part:
    """One share of the memory in bytes, and where it comes from."""

    name: str
    size_bytes: int
    source: str


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """The memory of a model, the runtime's own left out."""

    inputs_bytes: int | None
    outputs_bytes: int | None
    activations_bytes: int | None
    """Of one block that holds all activations and temporaries by the arena planner's strategy."""
    open: str | None
    """Why `activations_bytes` is not known."""
    steps: tuple[StepMemory, ...]
    """Of the graph with the largest activations; empty when they are not known."""
    parts: tuple[Part, ...]
    """What adds up to the peak; empty when the activations are not known."""

    @property
    def peak_step(self) -> StepMemory | None:
        """The operator that sets the peak of the activations."""
        return max(self.steps, key=lambda step: step.total_bytes, default=None)

    @property
    def margin_bytes(self) -> int | None:
        """By how much that operator needs more than the next one: what a change to it alone can save at most."""
        totals = sorted((step.total_bytes for step in self.steps), reverse=True)
        return totals[0] - totals[1] if len(totals) > 1 else None


@dataclass(frozen=True, kw_only=True)
class _Arena:
    size_bytes: int
    steps: tuple[StepMemory, ...]


def plan_for(
    graph: ModelGraph, shapes: Mapping[str, tuple[int, ...]], *, runtime: str, architecture: str, version: str = ""
) -> MemoryPlan:
    """The plan of a model fed with ``shapes`` for a runtime, the newest without ``version``. Raises `DataFileError`."""
    return plan_memory(graph, read_dataflow(graph, shapes), runtime=runtime, architecture=architecture, version=version)


def plan_memory(
    graph: ModelGraph, flows: Sequence[Dataflow], *, runtime: str, architecture: str, version: str = ""
) -> MemoryPlan:
    """The plan of a model for a runtime's build for ``architecture``; ``flows`` from `read_dataflow`."""
    main = flows[0]
    inputs, outputs = main.bytes_of(main.inputs), main.bytes_of(main.outputs)
    kept: list[Workspace] = []
    arenas: list[_Arena] = []
    for flow in flows:
        is_tflite = graph.format == "tflite"
        extra = workspaces(flow, runtime, architecture=architecture, version=version) if is_tflite else ()
        kept += [each for each in extra if not each.in_arena]
        found = _arena(flow, extra, _IN_PLACE[graph.format])
        if isinstance(found, str):
            return MemoryPlan(
                inputs_bytes=inputs, outputs_bytes=outputs, activations_bytes=None, open=found, steps=(), parts=()
            )
        arenas.append(found)
    activations = sum(
        arena.size_bytes for arena in arenas
    )  # every subgraph of a TFLite model keeps an arena of its own
    parts = _tflite_parts(graph, kept) if graph.format == "tflite" else _onnx_parts(graph, main, activations, version)
    return MemoryPlan(
        inputs_bytes=inputs,
        outputs_bytes=outputs,
        activations_bytes=activations,
        open=None,
        steps=max(arenas, key=lambda arena: arena.size_bytes).steps,
        parts=(Part(name="activations", size_bytes=activations, source="arena planner"), *parts),
    )


def _arena(flow: Dataflow, extra: Sequence[Workspace], in_place: Mapping[str, InPlace]) -> _Arena | str:
    """The arena of one graph, or why it cannot be planned."""
    found = lifetimes(flow, in_place)
    if found.unknown:
        more = f" and {len(found.unknown) - 1} more" if len(found.unknown) > 1 else ""
        return f"the file gives no size for tensor {found.unknown[0]!r}{more}: only the run time knows"
    temporary = [each for each in extra if each.in_arena]
    buffers = [*found.buffers, *(Buffer(size_bytes=t.size_bytes, first=t.step, last=t.step) for t in temporary)]
    try:
        size = place(buffers).size_bytes
    except ValueError as error:
        return str(error)
    needed = [0] * len(flow.steps)
    for each in temporary:
        needed[each.step] += each.size_bytes
    live = live_bytes(found.buffers, len(flow.steps))
    steps = (
        StepMemory(index=s.index, type=s.type, name=s.name, live_bytes=live[i], workspace_bytes=needed[i])
        for i, s in enumerate(flow.steps)
    )
    return _Arena(size_bytes=size, steps=tuple(steps))


def _tflite_parts(graph: ModelGraph, kept: Sequence[Workspace]) -> tuple[Part, ...]:
    packed = sum(each.size_bytes for each in kept if each.kind == "packed weights")
    rows = sum(each.size_bytes for each in kept if each.kind == "indirection buffer")
    unpacked = max((each.size_bytes for each in kept if each.kind == "unpacked weights"), default=0)
    blocks = max((each.size_bytes for each in kept if each.kind == "gemm blocks"), default=0)
    return (
        Part(name="weights", size_bytes=graph.weights_bytes, source="pages of the mapped model file"),
        Part(name="unpacked weights", size_bytes=unpacked, source="zeros that a convolution of int8 allocates"),
        Part(name="gemm blocks", size_bytes=blocks, source="operands as gemmlowp packs them"),
        Part(name="packed weights", size_bytes=packed, source="XNNPACK's copy for its kernels"),
        Part(name="indirection buffers", size_bytes=rows, source="XNNPACK's pointers to the rows of convolutions"),
    )


def _onnx_parts(graph: ModelGraph, main: Dataflow, activations: int, version: str) -> tuple[Part, ...]:
    largest = max((value.size_bytes or 0 for value in main.values if value.constant), default=0)
    packed = packed_beside_originals(main, version)
    return (
        Part(name="weights", size_bytes=graph.weights_bytes, source="tensors of the session"),
        # One after the other: once the last weight is read, all are packed.
        Part(
            name="largest weight",
            size_bytes=largest if largest > packed else 0,
            source="once more while it is read or packed",
        ),
        Part(
            name="packed weights",
            size_bytes=packed if largest <= packed else 0,
            source="MLAS's copies for matrix products; the originals' place stays in ONNX Runtime's arena",
        ),
        Part(
            name="activations again",
            size_bytes=activations,
            source="from the second inference on ONNX Runtime has one block for all, beside what the first one used",
        ),
    )
