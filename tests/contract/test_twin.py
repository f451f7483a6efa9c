"""Truth: an x86-64 process that runs natively knows its own peak, and the emulated one must have the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.image.emulator import host_architecture
from tests.twins import MODELS, Twins, is_enough, least, peaks, twins_in

pytestmark = [
    pytest.mark.engine("local"),
    pytest.mark.skipif(host_architecture() != "amd64", reason="the twin is an x86-64 image"),
]

WITHIN = 0.03
LEAST_OF = ("tiny_conv_int8.tflite", "mobilenet_v1_0.5_96_fp32.tflite", "tiny.onnx", "mobilenet_v1_0.25_128_fp32.onnx")
"""docs/memory_twins.md has all."""


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with twins_in(tmp_path_factory.mktemp("twins")) as both:
        yield both


@pytest.mark.parametrize("model", MODELS)
def test_the_emulated_peak_is_what_the_native_process_says_of_itself(model: str, twins: Twins) -> None:
    native, emulated = peaks(twins, model)
    assert emulated == pytest.approx(native, rel=WITHIN)


@pytest.mark.parametrize("model", LEAST_OF)
def test_the_least_memory_is_the_same(model: str, twins: Twins) -> None:
    native = least(twins, twins.native, model)
    assert is_enough(twins, twins.emulated, model, round(native * (1 + WITHIN)))
    assert not is_enough(twins, twins.emulated, model, round(native * (1 - WITHIN)))
