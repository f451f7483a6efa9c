"""The published table of predictions: long enough, and its summary is that of its rows."""

from __future__ import annotations

import re
from statistics import mean

import pytest

from tests import compare_memory
from tests.compare_memory import Case, Row


def test_the_page() -> None:
    case = Case(model="m.tflite", runtime="tflite-runtime", image="bookworm-arm64")
    rows = [Row(case=case, version="2.14.0", predicted=p, emulated=100e6) for p in (98e6, 104e6)]
    text = compare_memory.render(rows)
    assert "2 models: mean error 3.0%, largest 4.0%." in text
    assert "| m.tflite | tflite-runtime 2.14.0 | bookworm-arm64 | 98.0 | 100.0 | -2.0% |" in text


def test_the_published_table() -> None:
    text = compare_memory.TABLE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*\.(?:tflite|onnx) \| .* \| ([\d.]+) \| ([\d.]+) \| ([+-][\d.]+)% \|$", text, re.MULTILINE)
    assert len(rows) >= len(compare_memory.cases()) >= 30
    assert {case.image for case in compare_memory.cases()} >= {"bookworm-arm64", "bookworm-armhf"}
    errors = [abs(float(error)) for _predicted, _emulated, error in rows]
    for predicted, emulated, error in rows:
        assert float(error) == pytest.approx(100 * (float(predicted) / float(emulated) - 1), abs=0.3)
    summary = re.search(r"mean error ([\d.]+)%, largest ([\d.]+)%", text)
    assert summary
    assert float(summary[1]) == pytest.approx(mean(errors), abs=0.1)
    assert float(summary[2]) == max(errors)
