"""What a model file and a board's spec alone tell: does it fit? Nothing is run, built or downloaded."""

from __future__ import annotations

from sandbox.check_result import CheckedDevice, CheckedModel, CheckedRuntime, CheckResult, PredictedMemory
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.plan import ProfileRequest
from sandbox.verdict import judge

from . import host
from .analysis import NOT_LINUX, assemble
from .profile import read_request, record_of


def check(request: ProfileRequest) -> CheckResult:
    """Judge a model by its file. Raises `UsageError` and `DataFileError` as `profile.profile` does."""
    graph, board = read_request(request)
    record = record_of(request, graph, board)
    result = assemble(record, None)
    part = result.microcontroller
    nothing = Unavailable(unavailable=NOT_LINUX)
    head: Quantity = part.arenas[0].head if part and part.arenas else nothing
    memory = PredictedMemory(
        peak=nothing,
        available=nothing,
        headroom=nothing,
        weights=_size(graph.weights_bytes, "constant data in the model file"),
        inputs=_known(record.flows[0].bytes_of(record.flows[0].inputs)),
        outputs=_known(record.flows[0].bytes_of(record.flows[0].outputs)),
        activations=head,
        runtime_baseline=nothing,
        parts=(),
        peak_operator=None,
        peak_margin=nothing,
        operators=(),
    )
    return CheckResult(
        tool=result.tool,
        model=CheckedModel(
            path=str(graph.path),
            format=graph.format,
            size_bytes=graph.size_bytes,
            inputs=record.model.inputs,
            outputs=record.model.outputs,
        ),
        device=CheckedDevice(id=board.id, name=board.name, page_size_bytes=None, ram_bytes=board.ram_bytes),
        image=record.image,
        runtime=CheckedRuntime(name=host.RUNTIME, version=record.tflm_version),
        memory=memory,
        checks=result.checks,
        verdict=judge(result.checks),
        microcontroller=part,
        latency=result.latency,
    )


def _size(value: float, source: str) -> Metric:
    return Metric(value=value, unit="byte", mode="predicted", source=source)


def _known(value: int | None) -> Quantity:
    reason = "the file leaves a size open"
    return Unavailable(unavailable=reason) if value is None else _size(value, "shapes in the model file")
