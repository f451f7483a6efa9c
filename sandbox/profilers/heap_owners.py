"""Whose an allocation is, by the calls that led to it: Python's, the runtime's, or the model's.

The first frame from the allocator upwards that lies in Python's or the runtime's files decides; the C and C++ libraries
between are nobody's. What the runtime allocated is the model's where one of its functions that read, lay out or run a
model is among the callers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from sandbox.measurements import HeapOwner

from .massif import AllocationChain, Frame

_PYTHON = re.compile(r"/(lib)?python|/numpy[/.]")
"""The interpreter, its modules and NumPy, wherever that was installed."""
_FOR_THE_MODEL = re.compile(
    # TensorFlow Lite: the file, its graph, the arena, what runs it; XNNPACK's own objects belong to one model
    r"\btflite::(\w+::)?(InterpreterBuilder|FlatBufferModel|Subgraph|SimpleMemoryArena|ArenaPlanner)::"
    r"|\btflite::xnnpack::|^xnn_(create|setup|reshape|define|run|invoke)"
    # ONNX Runtime: the file, its graph, its arena, what loads and runs it
    r"|\bonnxruntime::(InferenceSession::(Load|Initialize|Run)|Model::|Graph::|SessionState::|BFCArena::)|\bonnx::"
)
_FOR_ITSELF = re.compile(r"\btflite::MutableOpResolver::|\btflite::ops::builtin::BuiltinOpResolver")
"""Tables of the runtime that hold the same for every model."""
_LOADER = re.compile(r"/ld-|^dl-\w+\.c$")
"""The dynamic loader, which runs initialisers."""
_UNNAMED = "???"


def heap_owners(chains: Sequence[AllocationChain], runtime_folder: str) -> Mapping[HeapOwner, int]:
    """Bytes of every owner, the largest first; ``runtime_folder`` is where the runtime lies in the guest."""
    sums: Counter[HeapOwner] = Counter()
    for chain in chains:
        sums[_owner(chain.frames, runtime_folder)] += chain.bytes
    return dict(sums.most_common())


def _owner(frames: Sequence[Frame], runtime_folder: str) -> HeapOwner:
    for place, frame in enumerate(frames):
        if _is_python(frame):
            return "Python"
        if runtime_folder in frame.file:
            return _of_the_runtime(frames[place:], runtime_folder)
    return "other"


def _of_the_runtime(frames: Sequence[Frame], runtime_folder: str) -> HeapOwner:
    """Whose it is once the runtime has asked for it: not to be told where a caller has no name, or is cut off."""
    inside = [frame for frame in frames if runtime_folder in frame.file and not _is_python(frame)]
    if any(_FOR_THE_MODEL.search(frame.function) for frame in inside):
        return "model"
    if any(_FOR_ITSELF.search(frame.function) for frame in inside):
        return "runtime"
    is_whole = any(_is_python(frame) or _LOADER.search(frame.file) for frame in frames)
    return "runtime" if is_whole and all(frame.function != _UNNAMED for frame in inside) else "runtime or model"


def _is_python(frame: Frame) -> bool:
    return bool(_PYTHON.search(frame.file))
