"""From how a run ended to the verdict: what runtimes really say, and every way to die."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest

from sandbox.engines.base import MemoryTrace, Outcome
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import Check, CheckId, CheckStatus
from sandbox.verdict import Failure, failure_checks, find_failure, judge, limit_kept, memory_check

WELL = Outcome(exit_code=0, limit_mechanism="cgroup v2", isolation="bubblewrap", emulator="QEMU 7.2", seconds=12.5)
GOOD_REPORT: Mapping[str, Any] = {"schema": 1, "error": None}
PHASES = (("import", 0.0), ("load", 1.0), ("allocate", 2.0))
SMALLER = "use a smaller model or input, quantise it, or take a device with more RAM"


def died(signal: int, stderr: str = "") -> Outcome:
    return replace(WELL, exit_code=None, signal=signal, stderr=stderr)


def said(
    message: object, *, kind: object = "RuntimeError", phase: object = "allocate", cause: object = None
) -> Failure:
    """The failure that a report with this error makes."""
    error = {"phase": phase, "type": kind, "message": message, "cause": cause}
    failure = find_failure(replace(WELL, exit_code=1), {"error": error}, PHASES, None)
    assert failure is not None
    return failure


# (text, check, what the fix says, operator)
MESSAGES = {
    "tensorflow 54321": (
        (
            "Regular TensorFlow ops are not supported by this interpreter. Make sure you apply/link the Flex delegate "
            "before inference.Node number 29 (FlexRFFT) failed to prepare."
        ),
        "operators",
        "convert with TFLITE_BUILTINS only, or replace FlexRFFT: this build has no Flex delegate",
        "FlexRFFT",
    ),
    "the same since tensorflow 2.9": (
        (
            "Select TensorFlow op(s), included in the given model, is(are) not supported by this interpreter. "
            "Make sure you apply/link the Flex delegate before inference. For the Android, it can be resolved by "
            'adding "org.tensorflow:tensorflow-lite-select-tf-ops" dependency. See instructions: '
            "https://www.tensorflow.org/lite/guide/ops_selectNode number 7 (FlexErf) failed to prepare."
        ),
        "operators",
        "convert with TFLITE_BUILTINS only, or replace FlexErf: this build has no Flex delegate",
        "FlexErf",
    ),
    "tensorflow 43232": (
        "Didn't find op for builtin opcode 'CONV_2D' version '5'\nRegistration failed.\n",
        "operators",
        "convert with an older converter or use a newer runtime: CONV_2D version 5 is not in this build",
        "CONV_2D",
    ),
    "tensorflow 80736": (
        (
            "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version of this builtin "
            "might be supported. Are you using an old TFLite binary with a newer model?"
        ),
        "operators",
        "convert with an older converter or use a newer runtime: FULLY_CONNECTED version 12 is not in this build",
        "FULLY_CONNECTED",
    ),
    "tflite-micro 1794": (
        (
            "Didn't find op for builtin opcode 'PAD' version '2'. An older version of this builtin might be supported. "
            "Are you using an old TFLite binary with a newer model?\nFailed to get registration from op code "
        ),
        "operators",
        "convert with an older converter or use a newer runtime: PAD version 2 is not in this build",
        "PAD",
    ),
    "without a version": (
        "Didn't find op for builtin opcode 'PAD'",
        "operators",
        "convert with an older converter or use a newer runtime: PAD version ? is not in this build",
        "PAD",
    ),
    "custom operator": (
        (
            "Encountered unresolved custom op: TFLite_Detection_PostProcess.\nSee instructions: "
            "https://www.tensorflow.org/lite/guide/ops_custom Node number 63 failed to prepare."
        ),
        "operators",
        "link the custom operator TFLite_Detection_PostProcess into the runtime, or convert without it",
        "TFLite_Detection_PostProcess",
    ),
    "onnxruntime 20559": (
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from model.onnx failed:/onnxruntime_src/onnxruntime/core/graph/"
            "model.cc:150 onnxruntime::Model::Model(...) Unsupported model IR version: 10, max supported IR version: 9"
        ),
        "operators",
        "save the model with IR version 9 (model.ir_version = 9), or use a newer onnxruntime",
        None,
    ),
    "onnxruntime kernel": (
        (
            "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for ConvInteger(10) node with "
            "name 'Conv_0_quant'"
        ),
        "operators",
        "ConvInteger is not in this build for the given types and opset: export with another opset or a newer runtime",
        "ConvInteger",
    ),
    "onnxruntime opset": (
        "[ONNXRuntimeError] : 1 : FAIL : No Op registered for LayerNormalization with domain_version of 14",
        "operators",
        (
            "LayerNormalization is not in this build for the given types and opset: export with another opset or a "
            "newer runtime"
        ),
        "LayerNormalization",
    ),
    "onnxruntime custom operator": (
        (
            "[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. In Node, Error Node (n) has "
            "com.acme:BeamSearch(1) is not a registered function/op"
        ),
        "operators",
        "BeamSearch is unknown to this build: register its custom-operator library, or export without it",
        "BeamSearch",
    ),
    "azure-iot-edge-cv-model-samples 1": (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc",
        "memory",
        SMALLER,
        None,
    ),
    "onnxruntime arena": (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 16384",
        "memory",
        SMALLER,
        None,
    ),
    "numpy": ("Unable to allocate 3.00 GiB for an array with shape (805306368,)", "memory", SMALLER, None),
    "tflite-micro 1458": (
        "Failed to allocate tail memory. Requested: 2088, available 1552, missing: 536",
        "memory",
        SMALLER,
        None,
    ),
    "tensorflow 39673": (
        "Failed to allocate memory. Requested: 400, available 264, missing: 136",
        "memory",
        SMALLER,
        None,
    ),
    "himax_tflm 18": (
        "Arena size is too small for all buffers. Needed 212064 but only 191120 was available.",
        "memory",
        SMALLER,
        None,
    ),
    "BirdNET-Pi 314": (
        "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.1.0 as it may crash.",
        "abi",
        "install numpy<2 beside this runtime",
        None,
    ),
    "the same, as an attribute": ("_ARRAY_API not found", "abi", "install numpy<2 beside this runtime", None),
    "the same, as an import": (
        "numpy.core.multiarray failed to import",
        "abi",
        "install numpy<2 beside this runtime",
        None,
    ),
    "ai-edge-litert on Debian 11": (
        (
            "/lib/aarch64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by "
            "/opt/ai-edge-litert-2.3.0/ai_edge_litert/libpywrap_litert_common.so)"
        ),
        "abi",
        "choose a runtime version built for this OS release: it lacks GLIBCXX_3.4.30",
        None,
    ),
    "CXXABI": (
        "libstdc++.so.6: version 'CXXABI_1.3.13' not found",
        "abi",
        "choose a runtime version built for this OS release: it lacks CXXABI_1.3.13",
        None,
    ),
    "tensorflow 50514": (
        "/lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.29' not found (required by _interpreter_wrapper.so)",
        "abi",
        "choose a runtime version built for this OS release: it lacks GLIBC_2.29",
        None,
    ),
    "a library that is not there": (
        "libatomic.so.1: cannot open shared object file: No such file or directory",
        "abi",
        "this build cannot be loaded on this OS image: choose another runtime version",
        None,
    ),
    "a symbol that is not there": (
        "_pywrap_tensorflow_interpreter_wrapper.so: undefined symbol: _ZN4absl12lts_2023",
        "abi",
        "this build cannot be loaded on this OS image: choose another runtime version",
        None,
    ),
    "a module that is not there": (
        "No module named 'tflite_runtime._pywrap_tensorflow_interpreter_wrapper'",
        "abi",
        "this build cannot be loaded on this OS image: choose another runtime version",
        None,
    ),
    "mediapipe 3463, which says nothing of the cause": (
        "failed to invoke XNNPACK runtimeNode number 205 (TfLiteXNNPackDelegate) failed to invoke.",
        "run",
        None,
        None,
    ),
}


@pytest.mark.parametrize(("text", "check", "fix", "operator"), MESSAGES.values(), ids=MESSAGES.keys())
def test_what_runtimes_say(text: str, check: CheckId, fix: str | None, operator: str | None) -> None:
    failure = said(text)
    assert (failure.check, failure.fix, failure.missing_operator) == (check, fix, operator)
    assert failure.reason.startswith("RuntimeError during allocate: ")
    assert " ".join(text.split())[-40:] in failure.reason


def test_the_type_counts_too() -> None:
    assert said("", kind="MemoryError", phase="warmup").check == "memory"
    assert said("", kind="ModuleNotFoundError", phase="import").check == "run"


def test_the_cause_counts_too() -> None:
    """BirdNET-Pi #314: what is raised says nothing, what it was raised from does."""
    text = "<built-in method CreateWrapperFromFile of PyCapsule object at 0x7f> returned a result with an exception set"
    failure = said(text, kind="SystemError", phase="load", cause="AttributeError: _ARRAY_API not found")
    assert (failure.check, failure.fix) == ("abi", "install numpy<2 beside this runtime")
    assert failure.reason == f"SystemError during load: {text}"
    assert said(text, kind="SystemError").check == "run"


def test_a_long_message_loses_its_middle() -> None:
    text = f"Encountered unresolved custom op: Blur. {'explained at length ' * 40}in node 5 (Blur)"
    reason = said(text).reason
    assert reason.startswith("RuntimeError during allocate: Encountered unresolved custom op: Blur. explained")
    assert reason.endswith("explained at length in node 5 (Blur)")
    assert reason.count(" … ") == 1
    assert len(reason) < 340
    assert len(said("x" * 10_000).reason) < 340


def test_a_message_made_to_keep_us_busy_is_cut() -> None:
    """Unbounded, this takes minutes: each beginning of the pattern is followed to the end of the text."""
    assert said("Regular TensorFlow ops are not " * 100_000).check == "run"


@pytest.mark.parametrize(
    ("number", "check", "reason", "fix"),
    [
        (4, "cpu", "illegal instruction during allocate (signal 4, SIGILL)", "try the one before, with --runtime"),
        (6, "run", "crashed during allocate (signal 6, SIGABRT)", "read the last lines that it wrote to stderr"),
        (7, "cpu", "crashed during allocate (signal 7, SIGBUS)", "accesses memory in a way that this core refuses"),
        (11, "run", "crashed during allocate (signal 11, SIGSEGV)", "report this build's crash"),
        (9, "run", "crashed during allocate (signal 9, SIGKILL)", "see stderr.txt in the run folder"),
        (63, "run", "crashed during allocate (signal 63)", "see stderr.txt in the run folder"),
    ],
)
def test_signals(number: int, check: CheckId, reason: str, fix: str) -> None:
    failure = find_failure(died(number), None, PHASES, None)
    assert failure is not None
    assert (failure.check, failure.reason) == (check, reason)
    assert fix in (failure.fix or "")


def test_a_signal_before_the_runner_started() -> None:
    failure = find_failure(died(4), None, (), None)
    assert failure is not None
    assert failure.reason == "illegal instruction before the runner started (signal 4, SIGILL)"


def test_an_abort_is_explained_by_stderr() -> None:
    text = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
    failure = find_failure(died(6, text), None, PHASES, None)
    assert failure is not None
    assert (failure.check, failure.fix) == ("memory", SMALLER)
    assert failure.reason.startswith("crash during allocate: terminate called after throwing an instance of 'std::bad")
    other = find_failure(died(11, text), None, PHASES, None)
    assert other is not None
    assert other.check == "run"


def test_a_time_out() -> None:
    outcome = replace(WELL, exit_code=None, signal=9, timed_out=True, seconds=10.06)
    failure = find_failure(outcome, None, PHASES, None)
    assert failure == Failure(
        check="run",
        reason="did not finish: stopped during allocate after 10.1 s",
        fix="give it longer with --timeout, or look for an endless loop",
    )


@pytest.mark.parametrize(
    ("mechanism", "limit", "reason"),
    [
        ("cgroup v1", 209_715_200, "the kernel killed it at the limit of 210 MB"),
        ("docker", 209_715_200, "the kernel killed it at the limit of 210 MB"),
        ("watchdog", 209_715_200, "the watchdog stopped it at the limit of 210 MB"),
        ("cgroup v2", None, "the kernel killed it at the limit of its memory limit"),
    ],
)
def test_out_of_memory(mechanism: str, limit: int | None, reason: str) -> None:
    outcome = replace(WELL, exit_code=None, signal=9, out_of_memory=True, limit_mechanism=mechanism)
    failure = find_failure(outcome, None, PHASES, limit)
    assert failure == Failure(check="memory", reason=f"out of memory during allocate: {reason}", fix=SMALLER)


def test_out_of_memory_comes_before_what_followed_from_it() -> None:
    error = {"phase": "load", "type": "RuntimeError", "message": "_ARRAY_API not found"}
    outcome = replace(WELL, exit_code=1, out_of_memory=True, timed_out=True)
    failure = find_failure(outcome, {"error": error}, PHASES, None)
    assert failure is not None
    assert failure.check == "memory"


@pytest.mark.parametrize(
    ("mechanism", "own", "high", "kept"),
    [
        ("cgroup v2", 9999, 9999, True),
        ("none", 100, 100, False),
        ("watchdog", 1000, 2500, True),
        ("watchdog", 1001, 2500, False),
        ("watchdog", 900, 2501, False),
        ("watchdog", None, 2500, False),
        ("watchdog", 900, None, False),
    ],
)
def test_a_watchdog_kept_the_limit_where_its_readings_say_so(
    mechanism: Any, own: int | None, high: int | None, kept: bool
) -> None:
    memory = MemoryTrace(guest_own_bytes=own, guest_peak_high_bytes=high, guest_files_bytes=1500)
    assert limit_kept(replace(WELL, limit_mechanism=mechanism, memory=memory), 1000) is kept


def test_what_went_well() -> None:
    assert find_failure(WELL, GOOD_REPORT, PHASES, None) is None
    assert find_failure(WELL, {}, (), None) is None


@pytest.mark.parametrize(
    ("status", "stderr", "reason"),
    [
        (0, "", "ended with status 0 during allocate: it wrote nothing to stderr"),
        (1, "Traceback\nOSError: no space left\n", "ended with status 1 during allocate: OSError: no space left"),
        (
            1,
            "Traceback (most recent call last):\n  File\nKeyError: 'x'\n",
            "ended with status 1 during allocate: KeyError: 'x'",
        ),
        (None, " \n", "ended with status None during allocate: it wrote nothing to stderr"),
    ],
)
def test_no_report(status: int | None, stderr: str, reason: str) -> None:
    outcome = replace(WELL, exit_code=status, stderr=stderr)
    assert find_failure(outcome, None, PHASES, None) == Failure(check="run", reason=reason)


def test_a_status_other_than_0_fails_even_with_a_good_report() -> None:
    failure = find_failure(replace(WELL, exit_code=3), GOOD_REPORT, PHASES, None)
    assert failure is not None
    assert failure.reason == "ended with status 3 during allocate: it wrote nothing to stderr"


@pytest.mark.parametrize("error", ["boom", 7, ["RuntimeError"], True])
def test_an_error_that_is_no_table_is_none(error: object) -> None:
    assert find_failure(WELL, {"error": error}, PHASES, None) is None


@pytest.mark.parametrize("phases", [(), PHASES[:1]])
def test_a_limit_below_what_it_takes_to_start(phases: tuple[tuple[str, float], ...]) -> None:
    failure = find_failure(replace(died(9), out_of_memory=True), None, phases, 2**20)
    assert failure is not None
    assert failure.check == "memory"
    assert failure.fix == (
        "raise the limit or take a device with more RAM: Python and the runtime need more before any model is loaded"
    )
    assert said("", kind="MemoryError", phase="import").fix == failure.fix


@pytest.mark.parametrize(
    ("kind", "phase", "message", "reason"),
    [
        (None, None, None, " during : "),
        (["x"], 5, {"a": 1}, "['x'] during 5: {'a': 1}"),
        ("E", "load", "two\n\n lines\x1b[2J", "E during load: two lines\x1b[2J"),
        ("E", "load", "{0} {fix} %s", "E during load: {0} {fix} %s"),
    ],
)
def test_hostile_values_in_the_error(kind: object, phase: object, message: object, reason: str) -> None:
    assert said(message, kind=kind, phase=phase) == Failure(check="run", reason=reason)


def test_an_error_of_nothing() -> None:
    assert find_failure(WELL, {"error": {}}, PHASES, None) == Failure(check="run", reason=" during : ")


def size(value: float, high: float | None = None) -> Metric:
    return Metric(value=value, unit="byte", mode="emulated", high=high)


KILOBYTE = size(1000)


def fits(
    peak: Quantity, available: Quantity = KILOBYTE, failure: Failure | None = None, *, enforced: bool = False
) -> Check:
    return memory_check(peak, available, 2000, failure, limit_source="the whole RAM", enforced=enforced)


@pytest.mark.parametrize(
    ("peak", "status", "reason"),
    [
        (size(1), "pass", "peak 1 B of 1.00 kB: 100% left"),
        (size(899), "pass", "peak 899 B of 1.00 kB: 10% left"),
        (size(901), "warn", "peak 901 B of 1.00 kB: 10% left"),
        (size(1000), "warn", "peak 1.00 kB of 1.00 kB: 0% left"),
        (size(1001), "fail", "peak 1.00 kB of 1.00 kB"),
        (size(100, high=950), "warn", "peak 950 B of 1.00 kB: 5% left"),
        (size(100, high=1200), "fail", "peak 1.20 kB of 1.00 kB"),
        (size(0, high=0), "pass", "peak 0 B of 1.00 kB: 100% left"),
    ],
)
def test_memory(peak: Metric, status: CheckStatus, reason: str) -> None:
    check = fits(peak)
    assert (check.id, check.status, check.reason) == ("memory", status, reason)
    assert (check.value, check.limit) == (peak, KILOBYTE)
    assert bool(check.fix) == (status != "pass")


def test_what_lived_through_a_limit_that_the_kernel_kept_fits_if_only_just() -> None:
    check = fits(size(1200), enforced=True)
    assert (check.status, check.reason) == (
        "warn",
        "peak 1.20 kB of 1.00 kB: it lived only because the kernel can drop pages of files",
    )
    assert check.fix == "leave at least a tenth free: other programs on the device need memory too"
    assert fits(size(950), enforced=True).reason == "peak 950 B of 1.00 kB: 5% left"
    assert fits(size(100), enforced=True).status == "pass"


def test_memory_of_which_a_tenth_is_left_exactly() -> None:
    """900 of 1000, which in binary fractions is a hair less than a tenth: either answer is right, an error is not."""
    assert fits(size(900)).status in {"pass", "warn"}


def test_memory_where_the_available_is_not_known() -> None:
    """The whole RAM is the limit then, and the reason says so."""
    check = fits(size(100), Unavailable(unavailable="no source"))
    assert (check.status, check.reason) == ("pass", "peak 100 B of 2.00 kB, the whole RAM: 95% left")
    assert check.limit == Metric(value=2000, unit="byte", mode="predicted", source="the whole RAM")
    assert fits(size(2001), Unavailable(unavailable="no source")).status == "fail"


def test_memory_where_the_peak_is_not_known() -> None:
    check = fits(Unavailable(unavailable="no cgroup"))
    assert (check.status, check.reason) == ("unknown", "no cgroup")


def test_memory_of_a_run_that_failed() -> None:
    out = Failure(check="memory", reason="out of memory", fix="more")
    check = fits(Unavailable(unavailable="no cgroup"), failure=out)
    assert (check.status, check.reason, check.fix) == ("fail", "out of memory", "more")
    assert fits(size(1), failure=out).status == "fail"
    early = fits(size(123), failure=Failure(check="cpu", reason="SIGILL"))
    assert (early.status, early.reason, early.fix) == ("unknown", "the run ended early, at 123 B", None)


def test_memory_of_a_device_with_none() -> None:
    assert fits(size(5), size(0)).status == "fail"


def test_checks_of_a_good_run() -> None:
    checks = failure_checks(None, total=31, native=3, delegated=28)
    assert [(check.id, check.status, check.reason) for check in checks] == [
        ("cpu", "pass", "no illegal instruction"),
        ("abi", "pass", "the runtime loads on this OS image"),
        ("operators", "pass", "all 31 operators of the model ran (3 native, 28 delegated after fusing)"),
        ("run", "pass", "loaded, inferred and ended by itself"),
    ]
    unnamed = failure_checks(None, total=0, native=0, delegated=0)
    assert unnamed[2].reason == "the model ran"


@pytest.mark.parametrize("failed", ["cpu", "abi", "operators", "run"])
def test_checks_of_a_failed_run(failed: CheckId) -> None:
    checks = failure_checks(Failure(check=failed, reason="why", fix="do"), total=1, native=0, delegated=0)
    for check in checks:
        if check.id == failed:
            assert (check.status, check.reason, check.fix) == ("fail", "why", "do")
        else:
            assert (check.status, check.reason) == ("unknown", "the run ended before this could be seen")


def test_checks_of_a_run_that_had_no_memory() -> None:
    checks = failure_checks(Failure(check="memory", reason="why"), total=1, native=0, delegated=0)
    assert [check.status for check in checks] == ["unknown"] * 4


def a_check(status: CheckStatus, check: CheckId = "run") -> Check:
    return Check(id=check, status=status, reason=f"is {status}", fix=f"mend {status}")


@pytest.mark.parametrize(
    ("statuses", "verdict", "decisive"),
    [
        (("pass", "fail", "unknown", "warn"), "not_ready", "fail"),
        (("warn", "unknown", "pass"), "unknown", "unknown"),
        (("pass", "warn", "skipped"), "marginal", "warn"),
    ],
)
def test_the_worst_check_decides(
    statuses: tuple[CheckStatus, ...], verdict: Literal["not_ready", "unknown", "marginal"], decisive: str
) -> None:
    judged = judge([a_check(status) for status in statuses])
    assert judged.status == verdict
    assert judged.reasons == (f"run: is {decisive}",)
    assert judged.fix == f"mend {decisive}"


def test_all_failed_checks_are_named() -> None:
    judged = judge([a_check("fail", "cpu"), a_check("pass"), a_check("fail", "memory")])
    assert judged.reasons == ("cpu: is fail", "memory: is fail")


def test_ready_names_the_memory() -> None:
    judged = judge([a_check("pass", "memory"), a_check("pass"), a_check("skipped", "latency")])
    assert (judged.status, judged.reasons, judged.fix) == ("ready", ("memory: is pass",), None)


def test_no_pattern_s_fix_has_a_gap_left() -> None:
    assert not [fix for _text, _check, fix, _operator in MESSAGES.values() if re.search(r"[{}]", fix or "")]
