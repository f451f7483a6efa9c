"""How long runs took: a hint that may be missing, damaged or unwritable."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.durations import expected_seconds, remember
from sandbox.graph import read_model
from tests.record_runs import PROJECT

GRAPH = read_model(PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite")
ONNX = read_model(PROJECT / "examples" / "mobilenet_v1_0.25_128_fp32.onnx")


def test_the_same_model_s_last_run_counts(tmp_path: Path) -> None:
    assert expected_seconds(tmp_path, GRAPH) is None
    remember(tmp_path, GRAPH, 40.0)
    remember(tmp_path, GRAPH, 42.04)
    assert expected_seconds(tmp_path, GRAPH) == 42.0
    assert expected_seconds(tmp_path, ONNX) is None, "another format is no hint"
    assert [path.name for path in tmp_path.iterdir()] == ["durations.json"]


def test_else_the_model_nearest_in_size(tmp_path: Path) -> None:
    class Other:
        format = "tflite"

        def __init__(self, sha256: str, size_bytes: int) -> None:
            self.sha256, self.size_bytes = sha256, size_bytes

    for sha256, size, seconds in (("a", 1, 10.0), ("b", GRAPH.size_bytes + 5, 20.0), ("c", 2**30, 90.0)):
        remember(tmp_path, Other(sha256, size), seconds)  # type: ignore[arg-type]  # what it reads of a graph
    assert expected_seconds(tmp_path, GRAPH) == 20.0


@given(
    content=st.binary(max_size=200) | st.sampled_from([b"[]", b'{"a": 1}', b'{"a": [1]}', b'{"a": [1e999, 1e999, 1]}'])
)
def test_a_damaged_file_is_no_hint(content: bytes) -> None:
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "durations.json").write_bytes(content)
        assert expected_seconds(Path(folder), GRAPH) is None
        remember(Path(folder), GRAPH, 1.0)
        assert expected_seconds(Path(folder), GRAPH) == 1.0


def test_what_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remember(tmp_path / "file" / "below", GRAPH, 1.0)


def test_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.durations._MOST", 1)
    remember(tmp_path, GRAPH, 1.0)
    remember(tmp_path, ONNX, 2.0)
    assert expected_seconds(tmp_path, GRAPH) is None
