"""The shipped operator tables against the builds themselves, one of each family, asked anew under emulation."""

from __future__ import annotations

import pytest

from sandbox.compatibility.operator_tables import OnnxTable, TfliteTable, load_table
from sandbox.resources import data_directory
from tests.record_operators import dump

pytestmark = [pytest.mark.engine("local"), pytest.mark.timeout(300)]
_ASKED = {"ADD", "CONV_2D", "FULLY_CONNECTED", "NEG", "RFFT2D", "GELU"}


def test_onnxruntime() -> None:
    shipped = load_table("onnxruntime", "1.31.1", "arm64", data_directory("compatibility"))
    found = dump("bookworm-arm64", "onnxruntime", "1.31.1")
    assert isinstance(found, OnnxTable)
    assert shipped == found.model_copy(update={"recorded": shipped.recorded if shipped else ""})


def test_tflite() -> None:
    """Some operators only: all of them take minutes."""
    shipped = load_table("tflite-runtime", "2.14.0", "arm64", data_directory("compatibility"))
    found = dump("bookworm-arm64", "tflite-runtime", "2.14.0", only=_ASKED)
    assert isinstance(shipped, TfliteTable)
    assert isinstance(found, TfliteTable)
    assert {operator.type: operator for operator in found.operators} == {
        operator.type: operator for operator in shipped.operators if operator.type in _ASKED
    }
