"""Models for these tests: the examples, small ones made here, and MLPerf Tiny's where a developer has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.graph import ModelGraph, read_dataflow, read_model
from sandbox.graph.dataflow import Dataflow

EXAMPLE = Path(__file__).parents[3] / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
MLPERF_TINY = "EDGE_SANDBOX_MLPERF_TINY"
"""Variable that names the folder with the models of mlcommons/tiny."""


def mlperf_tiny(name: str) -> Path:
    """One of MLPerf Tiny's models; the test is skipped where they are not."""
    folder = os.environ.get(MLPERF_TINY)
    path = Path(folder or "") / f"{name}.tflite"
    if not folder or not path.is_file():
        pytest.skip(f"{MLPERF_TINY} names no folder with {name}.tflite (mlcommons/tiny)")
    return path


def read(path: Path) -> tuple[ModelGraph, tuple[Dataflow, ...]]:
    graph = read_model(path)
    return graph, read_dataflow(graph, {})
