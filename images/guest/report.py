"""What the run found out: collected as it goes, written once at the end, whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allocator import AllocatorLog
    from backend import OperatorProfile, Output
    from inputs import InputSpec

SCHEMA = 1


class Report:
    """The content of ``runner.json``. Times in nanoseconds of the guest's clock."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._latencies: list[int] = []
        self._document: dict[str, Any] = {
            "schema": SCHEMA,
            "runtime": {"python": platform.python_version()},
            "inputs": [],
            "outputs": [],
            "latencies_ns": self._latencies,
            "operators": [],
            "operators_unavailable": None,
            "pid": os.getpid(),
            "error": None,
        }

    @property
    def failed(self) -> bool:
        """Whether the run ended in an error."""
        return self._document["error"] is not None

    def describe(self, runtime: dict[str, Any]) -> None:
        """Versions of what runs the model; may be called again once more is known."""
        numpy = sys.modules.get("numpy")
        self._document["runtime"].update(runtime, numpy=getattr(numpy, "__version__", None))

    def inputs(self, specs: Sequence[InputSpec]) -> None:
        """The inputs with the shapes that were allocated."""
        self._document["inputs"] = [
            {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in specs
        ]

    def allocator(self, log: AllocatorLog) -> None:
        """What the allocator held, in bytes, and where the functions begin whose calls are in the file of marks."""
        self._document["allocator"] = {"functions": log.functions, "phases": log.phases}

    def latency(self, elapsed_ns: int) -> None:
        """One timed inference."""
        self._latencies.append(elapsed_ns)

    def outputs(self, outputs: Sequence[Output]) -> None:
        """The outputs of the last inference, by digest here and by value in ``outputs.npz``."""
        from outputs import described, write_npz  # noqa: PLC0415 - needs numpy, whose import is a phase of its own

        write_npz(self._run_dir / "outputs.npz", outputs)
        self._document["outputs"] = [described(output) for output in outputs]

    def operators(self, read: Callable[[], OperatorProfile]) -> None:
        """The operator profile; a profile that cannot be read costs the profile, not the run."""
        try:
            profile = read()
        except Exception as error:  # noqa: BLE001 - see above
            self._document["operators_unavailable"] = f"the profile could not be read: {type(error).__name__}: {error}"
            return
        self._document["operators"] = profile.rows
        self._document["operators_unavailable"] = profile.unavailable

    def fail(self, phase: str, error: BaseException) -> None:
        """The run ended in ``error``. Its text is kept as the runtime wrote it: the host recognises failures by it."""
        cause = error.__cause__ or error.__context__
        self._document["error"] = {
            "phase": phase,
            "type": "MemoryError" if isinstance(error, MemoryError) else type(error).__name__,
            "message": str(error).strip() or type(error).__name__,
            "cause": f"{type(cause).__name__}: {cause}" if cause is not None else None,
        }

    def error_line(self) -> str:
        """The error for people, one line."""
        error = self._document["error"]
        return f"{error['type']} during {error['phase']}: {error['message']}"

    def write(self) -> None:
        """Put ``runner.json`` in place; a reader sees the whole document or none."""
        target = self._run_dir / "runner.json"
        draft = target.with_suffix(".json.part")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self._document, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
