"""Operators on TFLM: the shipped table, and how much they compute."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.errors import DataFileError
from sandbox.image.spec import load_lock
from sandbox.metrics import Metric, Unavailable
from sandbox.microcontroller.host import IMAGE, RUNTIME
from sandbox.microcontroller.operators import FILE, all_macs, load_registered, operator_works
from sandbox.record import OperatorRecord, model_record
from sandbox.resources import data_directory
from tests.unit.static.flows import flow, value

from .models import EXAMPLE, mlperf_tiny, read

IMAGES = data_directory("images")
REGISTERED = load_registered(IMAGE, IMAGES)


def named(kind: str, *, custom: bool = False) -> OperatorRecord:
    return OperatorRecord(index=0, type=kind, version=1, domain="", custom=custom, dtype="int8")


def test_the_table_is_of_the_locked_wheel() -> None:
    assert REGISTERED.version == load_lock(IMAGE, IMAGES).runtime_versions(RUNTIME)[0]
    assert len(REGISTERED.builtin) + len(REGISTERED.custom) == 117


def test_what_tflm_has_and_has_not() -> None:
    assert all(REGISTERED.has(named(kind)) for kind in ("CONV_2D", "PAD", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"))
    assert not any(REGISTERED.has(named(kind)) for kind in ("TILE", "TOPK_V2", "POW", "CONV_3D", "CUSTOM"))
    assert REGISTERED.has(named("SignalRfft", custom=True))
    assert not REGISTERED.has(named("FlexRFFT", custom=True))
    assert not REGISTERED.has(named("CONV_2D", custom=True))


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("kws_ref_model", 2_656_768),
        ("pretrainedResnet_quant", 12_501_632),
        ("vww_96_int8", 7_489_664),
        ("ad01_int8", 264_192),
    ],
)
def test_multiply_accumulates_of_known_models(name: str, macs: int) -> None:
    graph, flows = read(mlperf_tiny(name))
    total = all_macs(operator_works(model_record(graph).operators, flows, REGISTERED))
    assert isinstance(total, Metric)
    assert total.value == macs


def test_multiply_accumulates_of_the_example() -> None:
    """By hand: MobileNet v1 0.25 has 41 M at 224 × 224, of which 1001 × 256 are the classifier's."""
    graph, flows = read(EXAMPLE)
    total = all_macs(operator_works(model_record(graph).operators, flows, REGISTERED))
    assert isinstance(total, Metric)
    assert total.value == pytest.approx((41.0e6 - 256_256) * (128 / 224) ** 2 + 256_256, rel=0.02)


def test_what_shapes_do_not_tell_is_unavailable_and_so_is_the_sum() -> None:
    values = [value("in", 1, 4), value("w", 8, 4, constant=True), value("h", 1, 8), value("out", 1, 8)]
    flows = (flow(values, ["FULLY_CONNECTED in w -> h", "SVDF h -> out"]),)
    operators = [named("FULLY_CONNECTED"), named("SVDF").model_copy(update={"index": 1})]
    works = operator_works(operators, flows, REGISTERED)
    assert isinstance(works[0].macs, Metric)
    assert works[0].macs.value == 32
    assert isinstance(works[1].macs, Unavailable)
    total = all_macs(works)
    assert isinstance(total, Unavailable)
    assert "operator 1" in total.unavailable


def test_a_damaged_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / FILE).write_text(json.dumps({"version": 3}))
    with pytest.raises(DataFileError, match=FILE):
        load_registered("x", tmp_path)
