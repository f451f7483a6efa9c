"""What kernels cost: the shipped table, what `check` makes of it, and what a run does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.check import CheckRequest, check
from sandbox.compatibility.kernel_costs import KernelCosts, load_kernel_costs
from sandbox.compatibility_checks import cost_words, left_out_check, with_run, without_delegates
from sandbox.compatibility_result import Compatibility, OperatorFinding
from sandbox.errors import DataFileError
from sandbox.graph import read_model
from sandbox.measurements import Kernel, Op
from sandbox.metrics import Metric, Unavailable
from sandbox.reports import html, terminal
from sandbox.resources import data_directory
from tests.record_kernel_costs import matched
from tests.record_runs import PROJECT
from tests.unit.recorded import result

EXAMPLE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
CORES = ("cortex-a53", "cortex-a72", "cortex-a76")


@pytest.fixture(scope="module")
def costs() -> KernelCosts:
    found = load_kernel_costs("arm64", data_directory("compatibility"))
    assert found is not None
    return found


def compatibility(device: str = "rpi4b", runtime: str = "tflite-runtime@2.14.0") -> Compatibility:
    found = check(CheckRequest(model=EXAMPLE, device=device, runtime=runtime)).compatibility
    assert found is not None
    return found


def operator(found: Compatibility, kind: str) -> OperatorFinding:
    return next(each for each in found.operators if each.type == kind)


def number(quantity: object) -> Metric:
    assert isinstance(quantity, Metric), quantity
    return quantity


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_every_build_was_counted_on_every_core(costs: KernelCosts, core: str, kind: str, dtype: str) -> None:
    builds = [("tflite-runtime", "2.14.0"), ("ai-edge-litert", "2.3.0")]
    builds += [("tflite-runtime", "2.11.0")] if core != "cortex-a76" else []  # no Bullseye for that board
    rows = [costs.of_build(*build, core, kind, dtype) for build in builds]
    assert all(row is not None and row.low - 1e-4 <= row.per_mac <= row.high + 1e-4 for row in rows)
    assert len({row.macs for row in rows if row}) == 1, "the same operators"
    best = costs.best(core, kind, dtype)
    assert best is not None
    assert best.per_mac == min(row.per_mac for row in rows if row)
    plain = {row.library for row in costs.rows if (row.emulated_cpu, row.type, row.dtype, row.delegates) == (
        core, kind, dtype, False)}  # fmt: skip
    assert plain
    assert "XNNPACK" not in plain


def test_a_fallback_is_predicted_from_the_table(costs: KernelCosts) -> None:
    found = compatibility()
    conv = operator(found, "CONV_2D")
    assert conv.status == "fallback"
    assert conv.library == "gemmlowp"
    assert conv.cost is not None
    assert conv.cost.macs.value == 64 * 64 * 8 * 3 * 3 * 3
    assert (conv.cost.best_build, conv.cost.best_library) == ("ai-edge-litert 2.3.0", "XNNPACK")
    row = costs.of_build("tflite-runtime", "2.14.0", "cortex-a72", "CONV_2D", "int8")
    assert row is not None
    instructions = number(conv.instructions)
    assert instructions.mode == "predicted"
    assert instructions.value == round(conv.cost.macs.value * row.per_mac)
    assert (instructions.low or 0) < instructions.value < (instructions.high or 0)
    assert any(table.name == "costs of kernels" and table.date == costs.recorded for table in found.tables)


def test_words_compare_sums() -> None:
    convolutions = [each for each in compatibility().operators if each.type == "CONV_2D"]
    own = sum(number(each.instructions).value for each in convolutions)
    best = sum(each.cost.best_instructions.value for each in convolutions if each.cost)
    words = cost_words(convolutions)
    assert words.startswith("gemmlowp: about ")
    assert words.endswith(f" {own / best:.2g} times what ai-edge-litert 2.3.0 (XNNPACK) takes")
    assert cost_words([]) == ""
    unknown = convolutions[0].model_copy(update={"instructions": Unavailable(unavailable="not counted")})
    assert cost_words([unknown]) == ""


def test_where_nothing_was_counted_nothing_is_said() -> None:
    assert all(each.cost is None for each in compatibility("rpi2b").operators), "32-bit code"
    uncounted = operator(compatibility(runtime="tflite-runtime@2.14.0"), "SOFTMAX")
    assert uncounted.cost is None, "it multiplies nothing"
    delegated = compatibility(runtime="ai-edge-litert@2.3.0")
    assert cost_words(delegated.operators) == "", "nothing falls back"
    assert not any(table.name == "costs of kernels" for table in delegated.tables)


def row(index: int, kind: str, shape: tuple[int, ...], instructions: int) -> Op:
    count = Metric(value=instructions, unit="instruction", mode="emulated")
    nothing = Unavailable(unavailable="not counted")
    return Op(
        index=index, type=kind, name="", dtype="int8", shape=shape, delegate=None, instructions=count, classes={},
        kernels=(Kernel(function=None, library="gemmlowp", instructions=count),),
        lines_from_l2=nothing, lines_from_dram=nothing, time=nothing, status="native",
    )  # fmt: skip


def test_a_run_puts_its_own_count_in_place_of_the_prediction() -> None:
    found = with_run(compatibility(), [row(0, "CONV_2D", (1, 64, 64, 8), 8_847_360)], None, finished=True)
    conv = operator(found, "CONV_2D")
    assert number(conv.instructions).mode == "emulated"
    assert cost_words([conv]).startswith("gemmlowp: 10 instructions a multiply-accumulate, ")


def test_what_a_delegate_left_to_the_runtime_is_a_fallback() -> None:
    """XNNPACK takes no graph with tensors of dynamic size, whatever operators are in it (mediapipe #3463)."""
    found = compatibility(runtime="ai-edge-litert@2.3.0")
    assert operator(found, "CONV_2D").status == "delegated"
    rows = [row(0, "CONV_2D", (1, 64, 64, 8), 8_847_360), row(29, "RESHAPE", (1, 1001), 500)]
    after = with_run(found, rows, None, finished=True)
    conv, reshape = operator(after, "CONV_2D"), operator(after, "RESHAPE")
    assert (conv.status, conv.detail) == ("fallback", "XNNPACK did not take it in this run")
    assert cost_words([conv]).startswith("gemmlowp: 10 instructions a multiply-accumulate, ")
    assert reshape.status == "native", "a copy is no slower anywhere"
    report = terminal.render(result("ready").model_copy(update={"compatibility": after}))
    assert "slower 1 in gemmlowp: 10 instructions a multiply-accumulate," in " ".join(report.split())
    assert "slower" not in terminal.render(result("ready").model_copy(update={"compatibility": found}))


def test_the_page_says_what_each_fallback_costs() -> None:
    found = compatibility()
    page = html.render(result("ready").model_copy(update={"compatibility": found}))
    assert cost_words([operator(found, "DEPTHWISE_CONV_2D")]) in page


def test_a_delegate_s_rows_are_matched_by_their_order_and_shapes() -> None:
    graph = read_model(EXAMPLE)
    rows = [
        row(0, "CONV_2D", (1, 64, 64, 8), 10),
        row(1, "DEPTHWISE_CONV_2D", (1, 64, 64, 8), 20),
        row(2, "FULLY_CONNECTED", (1, 64, 64, 16), 30),  # as XNNPACK calls a convolution of one pixel
    ]
    counted = matched(graph, rows)
    found = [next(counted) for _ in rows]
    assert [(each.type, each.instructions) for each in found] == [
        ("CONV_2D", 10), ("DEPTHWISE_CONV_2D", 20), ("CONV_2D", 30)
    ]  # fmt: skip
    with pytest.raises(SystemExit, match="operator 3 DEPTHWISE_CONV_2D: the run has no row"):
        next(counted)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    assert load_kernel_costs("arm64", tmp_path) is None
    (tmp_path / "kernel_costs").mkdir()
    (tmp_path / "kernel_costs" / "arm64.json").write_text("{}")
    with pytest.raises(DataFileError, match="no table of kernel costs"):
        load_kernel_costs("arm64", tmp_path)


def test_a_graph_that_the_delegate_takes_nothing_of_is_a_warning() -> None:
    found = compatibility(runtime="ai-edge-litert@2.3.0")
    after = with_run(found, [row(0, "CONV_2D", (1, 64, 64, 8), 8_847_360)], None, finished=True)
    check_ = left_out_check(after)
    assert check_ is not None
    assert check_.status == "warn"
    assert check_.reason.startswith("XNNPACK took nothing here, and CONV_2D ran in slower kernels (gemmlowp: 10 ")
    taken = row(1, "CONV_2D", (1, 64, 64, 8), 1).model_copy(update={"status": "delegated", "delegate": "XNNPACK"})
    partly = with_run(found, [row(0, "CONV_2D", (1, 64, 64, 8), 9), taken], None, finished=True)
    assert left_out_check(partly) is None, "it took the others"
    assert left_out_check(found) is None, "nothing ran"


def test_without_delegates_nobody_is_surprised() -> None:
    found = without_delegates(compatibility(runtime="ai-edge-litert@2.3.0"))
    conv = operator(found, "CONV_2D")
    assert (conv.status, conv.detail) == ("fallback", "delegates are switched off")
    assert operator(found, "RESHAPE").status != "fallback"
    after = with_run(found, [row(0, "CONV_2D", (1, 64, 64, 8), 8_847_360)], None, finished=True)
    assert left_out_check(after) is None
    assert cost_words([operator(after, "CONV_2D")]).startswith("gemmlowp: 10 instructions")


def test_a_kernel_that_is_no_slower_is_not_called_so() -> None:
    found = with_run(compatibility(), [row(0, "CONV_2D", (1, 64, 64, 8), 9)], None, finished=True)
    assert cost_words([operator(found, "CONV_2D")]) == ""
