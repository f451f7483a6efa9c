"""Whose an allocation is, by its callers."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.profilers.heap_owners import heap_owners
from sandbox.profilers.massif import AllocationChain, Frame, parse_massif

FOLDER = "/tflite-runtime-2.14.0/"
RUNTIME = f"/opt{FOLDER}tflite_runtime/_pywrap_tensorflow_interpreter_wrapper.so"
PYTHON = Frame(file="/usr/bin/python3.11", function="???")
LIBC = Frame(file="/usr/lib/aarch64-linux-gnu/libstdc++.so.6.0.30", function="operator new")
RECORDED = Path(__file__).parents[2] / "data" / "massif" / "mobilenet_tflite_arm64.out"


def inside(function: str) -> Frame:
    return Frame(file=RUNTIME, function=function)


@pytest.mark.parametrize(
    ("frames", "owner"),
    [
        ((PYTHON,), "Python"),
        ((LIBC, PYTHON, inside("tflite::Subgraph::Invoke()")), "Python"),
        ((Frame(file="/usr/lib/python3/dist-packages/numpy/core/x.so", function="???"), inside("f")), "Python"),
        ((Frame(file=f"/opt{FOLDER}numpy/core/x.so", function="???"),), "Python"),
        ((LIBC, inside("tflite::SimpleMemoryArena::Commit(TfLiteContext*, bool*)")), "model"),
        ((inside("TfLiteIntArrayCreate"), inside("tflite::impl::InterpreterBuilder::ParseTensors(x)")), "model"),
        ((inside("xnn_create_convolution2d_nhwc_f32"),), "model"),
        ((inside("std::f"), inside("tflite::MutableOpResolver::AddBuiltin(int)")), "runtime"),
        ((inside("init_module"), PYTHON), "runtime"),
        ((inside("_GLOBAL__sub_I_x"), Frame(file="dl-init.c", function="call_init")), "runtime"),
        ((inside("std::vector<int>::_M_default_append(unsigned long)"),), "runtime or model"),
        ((inside("???"), PYTHON), "runtime or model"),
        ((LIBC,), "other"),
        ((), "other"),
    ],
)
def test_owner(frames: tuple[Frame, ...], owner: str) -> None:
    assert heap_owners([AllocationChain(frames=frames, bytes=7)], FOLDER) == {owner: 7}


def test_the_recorded_run() -> None:
    profile = parse_massif(RECORDED.read_text())
    owners = heap_owners(profile.chains, "/tflite")
    assert sum(owners.values()) + profile.extra_bytes == profile.peak_bytes
    assert next(iter(owners)) == "Python"
    assert 192_000 < owners["model"] < 300_000, "the arena and the tensors' tables"
    assert owners["runtime"] > 40_000, "the table of operators"
