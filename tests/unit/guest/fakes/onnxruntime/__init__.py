"""A stand-in for ONNX Runtime: the "model" is a JSON file that says how the session behaves.

Keys: ``shape`` of input "x" (-1 is dynamic), ``raise`` and ``kill`` with the method in which that happens, ``entries``
that the session's configuration must have.
"""

from __future__ import annotations

import builtins
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

__version__ = "9.9.9"


class SessionOptions(SimpleNamespace):
    """Takes any option."""

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries = {**getattr(self, "entries", {}), key: value}


class InferenceSession:
    """Doubles its input."""

    def __init__(self, path: str, sess_options: Any, providers: list[str]) -> None:
        assert providers == ["CPUExecutionProvider"]
        assert sess_options.intra_op_num_threads >= 1
        assert sess_options.inter_op_num_threads == 1
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        self._script = json.loads(Path(path).read_text(encoding="utf-8"))
        self._options = sess_options
        if "entries" in self._script:
            assert getattr(sess_options, "entries", {}) == self._script["entries"]
        self._runs = 0
        self._misbehave("load")

    def _misbehave(self, where: str) -> None:
        if self._script.get("kill", {}).get("in") == where:
            os.kill(os.getpid(), self._script["kill"]["signal"])
        if self._script.get("raise", {}).get("in") == where:
            raise getattr(builtins, self._script["raise"]["type"])(self._script["raise"]["message"])

    def get_inputs(self) -> list[SimpleNamespace]:
        shape = ["batch" if size < 0 else size for size in self._script["shape"]]
        return [SimpleNamespace(name="x", type="tensor(float)", shape=shape)]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="file")]

    def run(self, _outputs: None, feeds: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
        self._runs += 1
        self._misbehave("run")
        return [feeds["x"] * 2]

    def end_profiling(self) -> str:
        self._misbehave("profile")
        path = f"{self._options.profile_file_prefix}_now.json"
        run = {"cat": "Session", "name": "model_run", "dur": 10, "args": {}}
        node = {"cat": "Node", "name": "double_kernel_time", "dur": 7, "args": {"op_name": "Mul"}}
        events = [dict(event, ts=100 * index) for index in range(self._runs) for event in (run, node)]
        Path(path).write_text(json.dumps(events), encoding="utf-8")
        return path
