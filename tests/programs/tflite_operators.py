"""Prints as JSON which operators a TFLite build registers, in which versions, and what it does with which types.

Runs in the guest, in a folder with ``template.json`` (a model with one operator code, and where in it the code lies)
and ``models/``: models of one operator each, called ``<OPERATOR>.<type>.tflite``.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = sys.argv[1]
NEWEST_VERSION = 16
MISSES = 3
UNKNOWN = ("Didn't find op for builtin opcode", "builtin_code out of range")

module = import_module(f"{PACKAGE}.interpreter")
template = json.loads(Path("template.json").read_text())
blank = base64.b64decode(template["model"])


def registered(code: int, version: int) -> bool:
    """Whether the build finds a kernel for an operator code: an interpreter looks all codes up before anything else."""
    model = bytearray(blank)
    struct.pack_into("<b", model, template["deprecated_code_at"], min(code, 127))
    struct.pack_into("<i", model, template["code_at"], code)
    struct.pack_into("<i", model, template["version_at"], version)
    try:
        module.Interpreter(model_content=bytes(model))
    except (ValueError, RuntimeError) as error:
        if not any(words in str(error) for words in UNKNOWN):
            raise
        return False
    return True


def versions(code: int) -> list[int]:
    """All registered versions of an operator; the search ends after some that are not."""
    found: list[int] = []
    for version in range(1, NEWEST_VERSION + 1):
        if registered(code, version):
            found.append(version)
        elif version - (found[-1] if found else 0) >= MISSES:
            break
    return found


def tried(path: Path) -> str:
    """What becomes of a model of one operator: ``delegated``, ``native`` or the refusal.

    In a process of its own: a kernel that dies on a type must not take the others with it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, attempt(path).encode()[:2000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        said = answer.read().decode(errors="replace")
    _pid, status = os.waitpid(child, 0)
    return said or f"refused: the process died with status {status}"


def attempt(path: Path) -> str:
    try:
        interpreter: Any = module.Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        for each in interpreter.get_input_details():  # ones: no division by zero
            interpreter.set_tensor(each["index"], np.ones(each["shape"], each["dtype"]))
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        said = " ".join(str(error).split()).removeprefix("/tensorflow/").partition("Node number")[0]
        return f"refused: {said[:150]}"
    operators = interpreter._get_ops_details()
    return "delegated" if any(op["op_name"] == "DELEGATE" for op in operators) else "native"


document = {
    "versions": {name: versions(code) for name, code in template["operators"].items()},
    "types": {path.name.removesuffix(".tflite"): tried(path) for path in sorted(Path("models").glob("*.tflite"))},
}
print(json.dumps(document))
