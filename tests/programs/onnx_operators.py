"""Prints as JSON what an onnxruntime build has: kernels with versions and types, the newest IR version and opset.

Runs in the guest, in a folder with ``ir.onnx`` and ``opset.onnx``, models of versions that nobody has yet.
"""

from __future__ import annotations

import json
import re
from typing import Any

import onnxruntime  # type: ignore[import-not-found]
from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-not-found]


def first_types(schemas: dict[tuple[str, str, int], Any], kernel: Any) -> list[str] | None:
    """Types that the kernel takes for its first output or input; None where no constraint names them."""
    schema = schemas.get((kernel.op_name, kernel.domain, kernel.version_range[0]))
    parameters = [*schema.outputs[:1], *schema.inputs[:1]] if schema else []
    found = [kernel.type_constraints[p.typeStr] for p in parameters if p.typeStr in kernel.type_constraints]
    return sorted({str(each) for types in found for each in types}) if found else None


def refused(path: str, pattern: str) -> int | None:
    """The number that the refusal of a model names."""
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the message is what we are after
        match = re.search(pattern, str(error))
        return int(match[1]) if match else None
    return None


schemas = {(each.name, each.domain, each.since_version): each for each in state.get_all_operator_schema()}
kernels = [
    {
        "type": kernel.op_name,
        "domain": kernel.domain,
        "since": kernel.version_range[0],
        "until": kernel.version_range[1],
        "provider": kernel.provider,
        "dtypes": first_types(schemas, kernel),
    }
    for kernel in state.get_all_opkernel_def()
]
document = {
    "version": onnxruntime.__version__,
    "kernels": kernels,
    "ir_version": refused("ir.onnx", r"max supported IR version: (\d+)"),
    "opset": refused("opset.onnx", r"domain ai\.onnx is till opset (\d+)"),
    "providers": onnxruntime.get_available_providers(),
}
print(json.dumps(document))
