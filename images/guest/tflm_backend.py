"""TensorFlow Lite Micro's interpreter for this host, and the search for the smallest arena that it works with.

What the interpreter says it uses can be less than it needs (tflite-micro #2738, #890), and how much it says is left
does not grow with the arena (#1249). So an arena is judged by one thing only: whether the model is set up and runs.
Each size is tried in a child process, because far too small an arena ends the process (signal 11).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
from backend import Backend, OperatorProfile, Output
from inputs import InputSpec
from request import Request

#: Bytes; sizes are tried in steps of TFLM's own alignment (MicroArenaBufferAlignment).
STEP = 16
FIRST = 64 << 10
#: No microcontroller has more RAM, and a model that fails for another reason fails in this one too.
LARGEST = 256 << 20
#: Sizes above the smallest that must work too, or the search goes on: success has to be monotone.
ABOVE = tuple(STEP << shift for shift in range(9))
ALLOCATION = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
#: No arena is large enough for an operator that TFLM has not.
NO_OPERATOR = ("Didn't find op", "Failed to get registration")
#: Characters of what TFLM said: its last lines name the cause.
LONGEST = 2000


class TflmError(RuntimeError):
    """TFLM refused the model; the text is its own."""


class TflmBackend(Backend):
    """One model."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._runtime = import_module("tflite_micro.python.tflite_micro.runtime")
        self._schema = import_module("tflite_micro.tensorflow.lite.micro.python.schema_py_generated")
        self._said = request.run_dir / "tflm.txt"
        self._model = b""
        self._interpreter: Any = None
        self._names: tuple[list[str], list[str]] = ([], [])
        self._arena: dict[str, int] = {}
        self._refusal: str | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "name": self._request.runtime,
            "version": metadata.version("tflite-micro"),
            "delegates": [],
            "arena": {**self._arena, "refusal": self._refusal},
        }

    def load(self) -> None:
        self._model = Path(self._request.model).read_bytes()
        model = self._schema.Model.GetRootAs(self._model, 0)
        graph = model.Subgraphs(0)
        inputs = [graph.Tensors(graph.Inputs(index)) for index in range(graph.InputsLength())]
        outputs = [graph.Tensors(graph.Outputs(index)) for index in range(graph.OutputsLength())]
        self._names = tuple(  # type: ignore[assignment]
            [(tensor.Name() or b"").decode(errors="replace") for tensor in tensors] for tensors in (inputs, outputs)
        )
        size = FIRST
        while not self._works(size, self._create):
            size *= 2
            words = self._last_words()
            if size > LARGEST or any(text in words for text in NO_OPERATOR):
                raise TflmError(words)
        self._arena["enough"] = size
        self._interpreter = self._create(size)

    def input_specs(self) -> list[InputSpec]:
        details = [self._interpreter.get_input_details(index) for index in range(len(self._names[0]))]
        return [
            InputSpec(name, np.dtype(detail["dtype"]).name, tuple(int(size) for size in detail["shape"]))
            for name, detail in zip(self._names[0], details)  # noqa: B905 - Python 3.9 has no strict
        ]

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        for spec in self.input_specs():
            if tuple(shapes[spec.name]) != spec.shape:
                raise TflmError(f"TFLM cannot change a shape: input {spec.name!r} has {list(spec.shape)}")

    def feed(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        if "minimum" not in self._arena:
            self._search(values)
        self._set(self._interpreter, values)

    def invoke(self) -> None:
        with self._listening():
            try:
                self._interpreter.invoke()
            except RuntimeError as error:
                raise TflmError(self._last_words()) from error

    def outputs(self) -> list[Output]:
        return [Output(name, self._interpreter.get_output(index)) for index, name in enumerate(self._names[1])]

    def start_profile(self) -> None:
        return

    def stop_profile(self) -> None:
        with self._listening():
            self._interpreter.print_allocations()
        for what, size in ALLOCATION.findall(self._said.read_text(errors="replace")):
            self._arena[what] = int(size)

    def operators(self) -> OperatorProfile:
        return OperatorProfile(unavailable="TFLM on this host tells nothing of a microcontroller's times")

    def _search(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """The smallest arena: found with the set-up alone, which is quick, then held against whole inferences."""

        def run(size: int) -> None:
            interpreter = self._create(size)
            self._set(interpreter, values)
            interpreter.invoke()

        enough = self._arena["enough"]
        found = self._smallest(0, enough, self._create)
        if not self._works(found, run):
            found = self._smallest(found, enough, run)
        self._arena["minimum"] = found
        if not self._works(found - STEP, run):
            self._refusal = self._refused_words()
        self._interpreter = self._create(found)

    def _smallest(self, fails: int, works: int, attempt: Callable[[int], Any]) -> int:
        while True:
            while works - fails > STEP:
                middle = (fails + works) // (2 * STEP) * STEP
                if self._works(middle, attempt):
                    works = middle
                else:
                    fails = middle
            gaps = [works + more for more in ABOVE if not self._works(works + more, self._create)]
            if not gaps:
                return works
            fails, works = gaps[-1], max(2 * gaps[-1], self._arena["enough"])

    def _works(self, size: int, attempt: Callable[[int], Any]) -> bool:
        """Whether ``attempt`` succeeds with an arena of that size, in a child process."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with self._listening():
                    attempt(size)
                status = 0
            except RuntimeError:
                status = 1
            except Exception as error:  # noqa: BLE001 - a damaged model: its text is all that the parent gets
                self._said.write_text(f"{type(error).__name__}: {error}\n")
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        return ended == 0

    def _create(self, size: int) -> Any:
        return self._runtime.Interpreter.from_bytes(self._model, arena_size=size)

    def _set(self, interpreter: Any, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        # Before every inference: the arena reuses an input's memory.
        for index, name in enumerate(self._names[0]):
            interpreter.set_input(values[name], index)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """TFLM writes to file descriptor 2 from C; what it says inside goes to a file."""
        kept = os.dup(2)
        file = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(file)

    def _refused_words(self) -> str:
        """The allocation that failed: what TFLM says after it follows from it."""
        said = self._said.read_text(errors="replace")[:LONGEST].splitlines()
        return next((line.strip() for line in said if "alloc" in line.lower()), self._last_words())

    def _last_words(self) -> str:
        try:
            said = self._said.read_text(errors="replace").strip()
        except OSError:
            said = ""
        lines = [line.strip() for line in said[-LONGEST:].splitlines() if line.strip()]
        return "; ".join(lines[-4:]) or "TFLM crashed and said nothing"
