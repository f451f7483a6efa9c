"""The arena on the board: by the file alone, from the host's, and held against 32-bit builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.metrics import Metric, Unavailable
from sandbox.microcontroller.arena import HostArena, board_arena, cmsis_scratch, host_arena, static_arena, structure
from sandbox.microcontroller.board import load_board
from sandbox.microcontroller.outcome import Kernels
from sandbox.zoo.operators import operator
from tests import zoo
from tests.unit.static.flows import flow, value

from .models import EXAMPLE, mlperf_tiny, read

SPECS = Path(__file__).parents[3] / "device_specs"
M4 = load_board("nucleo-l4r5zi", SPECS).cpu
M55 = load_board("corstone-300", SPECS).cpu
M0 = load_board("nucleo-g0b1re", SPECS).cpu

ON_HOST = {  # minimum, recorded, head, tail: TFLM of 2026-10-23 on x86-64
    "ad01_fp32": (6224, 6224, 3072, 3152),
    "ad01_int8": (4640, 3984, 768, 3216),
    "kws_ref_model": (24272, 24272, 16000, 8272),
    "pretrainedResnet": (203376, 203376, 196608, 6768),
    "pretrainedResnet_quant": (55984, 55984, 49152, 6832),
    "str_ww_ref_model": (16640, 16640, 6656, 9984),
    "vww_96_float": (324800, 324800, 294912, 29888),
    "vww_96_int8": (103680, 103680, 73728, 29952),
}
ON_CORTEX_M4F: dict[tuple[str, Kernels], int] = {  # smallest working arena, TFLM of 2026-08 with GCC 12.2, in QEMU
    ("kws_ref_model", "reference"): 22_784,
    ("kws_ref_model", "cmsis-nn"): 22_832,
    ("ad01_fp32", "reference"): 4_528,
    ("ad01_fp32", "cmsis-nn"): 4_848,
    ("ad01_int8", "reference"): 2_704,
    ("str_ww_ref_model", "reference"): 15_264,
    ("pretrainedResnet_quant", "reference"): 54_352,
    ("vww_96_int8", "reference"): 100_672,
    ("vww_96_float", "reference"): 321_808,
    ("vww_96_float", "cmsis-nn"): 299_968,
}


def host(figures: tuple[int, int, int, int]) -> HostArena:
    minimum, recorded, head, tail = figures
    return HostArena(minimum=minimum, recorded=recorded, head=head, tail=tail, mode="measured", source="a run")


@pytest.mark.parametrize("name", sorted(ON_HOST))
def test_the_file_alone_tells_the_host_s_arena(name: str) -> None:
    _graph, flows = read(mlperf_tiny(name))
    planned = static_arena(flows)
    assert isinstance(planned, HostArena)
    minimum, _recorded, head, tail = ON_HOST[name]
    assert planned.head == head
    assert abs(planned.tail - tail) <= 20
    assert abs(planned.minimum - minimum) <= 32


def test_the_example_s_arena_by_the_file() -> None:
    """TFLM on x86-64 gave 169 040 bytes: 131 072 of head, 37 968 of tail."""
    planned = static_arena(read(EXAMPLE)[1])
    assert isinstance(planned, HostArena)
    assert planned.head == 131_072
    assert abs(planned.tail - 37_968) <= 20


@pytest.mark.parametrize(("name", "kernels"), sorted(ON_CORTEX_M4F))
def test_within_2_percent_or_128_bytes_of_a_32_bit_build(name: str, kernels: Kernels) -> None:
    _graph, flows = read(mlperf_tiny(name))
    true = ON_CORTEX_M4F[name, kernels]
    for start in (host(ON_HOST[name]), static_arena(flows)):
        assert isinstance(start, HostArena)
        predicted = board_arena(start, flows, M4, kernels).minimum
        assert isinstance(predicted, Metric)
        assert predicted.mode == "predicted"
        assert abs(predicted.value - true) <= max(128, 0.02 * true)
        assert (predicted.low or 0) <= true <= (predicted.high or 0)


GENERATED_ON_CORTEX_M4F = {  # smallest working arena, reference kernels, as above
    "tiny_conv_int8": 1_264,
    "tiny_conv_fp32": 1_776,
    "op_conv3x3_20_5 int8": 3_872,
    "op_depthwise3x3_8_8 int8": 3_104,
    "op_dense_8_8 float32": 5_408,
    "op_dense_20_5 int8": 2_416,
}


@pytest.mark.parametrize("name", sorted(GENERATED_ON_CORTEX_M4F))
def test_generated_models_on_a_32_bit_build(tmp_path: Path, name: str) -> None:
    kind, _, dtype = name.partition(" ")
    path = tmp_path / f"{kind}.tflite"
    path.write_bytes(operator(kind, "int8" if dtype == "int8" else "float32") if dtype else zoo.make(path.name))
    flows = read(path)[1]
    planned = static_arena(flows)
    assert isinstance(planned, HostArena)
    predicted = board_arena(planned, flows, M4, "reference").minimum
    assert isinstance(predicted, Metric)
    assert abs(predicted.value - GENERATED_ON_CORTEX_M4F[name]) <= 32


def test_helium_needs_more_scratch() -> None:
    _graph, flows = read(mlperf_tiny("kws_ref_model"))
    predicted = board_arena(host(ON_HOST["kws_ref_model"]), flows, M55, "cmsis-nn").minimum
    assert isinstance(predicted, Metric)
    assert abs(predicted.value - 27_360) <= 128


def test_scratch_by_core_and_kernel() -> None:
    convolution = flow(
        [
            value("in", 1, 8, 8, 3, dtype="int8"),
            value("w", 4, 3, 3, 3, dtype="int8", constant=True),
            value("out", 1, 8, 8, 4, dtype="int8"),
        ],
        ["CONV_2D in w -> out"],
    )
    assert cmsis_scratch(convolution, M4) == {0: 4 * 28}  # 27 columns, in fours
    assert cmsis_scratch(convolution, M55) == {0: 4 * 32}  # in sixteens
    depthwise = flow(
        [
            value("in", 1, 8, 8, 16, dtype="int8"),
            value("w", 1, 5, 5, 16, dtype="int8", constant=True),
            value("out", 1, 8, 8, 16, dtype="int8"),
        ],
        ["DEPTHWISE_CONV_2D in w -> out"],
    )
    assert cmsis_scratch(depthwise, M4) == {0: 2 * 16 * 25}
    assert cmsis_scratch(depthwise, M0) == {}
    assert cmsis_scratch(depthwise, M55) == {0: 4 * 124 * 25}


def test_what_decides_the_structures() -> None:
    graph, flows = read(EXAMPLE)
    parts = structure(flows)
    assert (parts.operators, parts.fully_connected, parts.convolutions) == (len(graph.operators), 0, 28)
    assert (parts.quantised, parts.float_channels, parts.unusual) == (True, 0, 0)


def test_a_small_model_s_planning_sets_its_minimum(tmp_path: Path) -> None:
    """TFLM on x86-64 gave 240 bytes less of what it used than it needed."""
    path = tmp_path / "tiny_conv_int8.tflite"
    path.write_bytes(zoo.make(path.name))
    planned = static_arena(read(path)[1])
    assert isinstance(planned, HostArena)
    assert planned.minimum > planned.recorded + 100


def test_a_model_smaller_than_any_known_is_unavailable() -> None:
    flows = (flow([value("in", 4), value("out", 4)], ["RELU in -> out"]),)
    tiny = HostArena(minimum=400, recorded=400, head=32, tail=368, mode="measured", source="a run")
    assert isinstance(board_arena(tiny, flows, M4, "reference").minimum, Unavailable)


def test_control_flow_needs_a_run() -> None:
    one = flow([value("in", 4), value("out", 4)], ["RELU in -> out"])
    assert "only TFLM itself tells" in str(static_arena((one, one)))


def test_the_host_s_figures_are_called_the_host_s() -> None:
    shown = host_arena(host(ON_HOST["kws_ref_model"]))
    assert (shown.where, shown.kernels) == ("host", "reference")
    assert isinstance(shown.minimum, Metric)
    assert (shown.minimum.value, shown.minimum.mode) == (24272, "measured")
