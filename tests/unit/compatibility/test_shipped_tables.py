"""Every file under ``compatibility/`` loads and belongs to what is shipped: no build of a lock goes without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.compatibility.accelerators import available_accelerators, load_accelerator
from sandbox.compatibility.facts import load_build, load_image, load_index
from sandbox.compatibility.operator_tables import OnnxTable, TfliteTable, load_table
from sandbox.device import available_devices, load_device
from sandbox.errors import DataFileError, UsageError
from sandbox.image.spec import load_lock, load_spec
from sandbox.resources import data_directory

TABLES = data_directory("compatibility")
IMAGES = data_directory("images")
DEVICES = data_directory("device_specs")
OF_DEVICES = sorted({os.image for name in available_devices(DEVICES) for os in load_device(name, DEVICES).os})
RUNTIMES = ("tflite-runtime", "ai-edge-litert", "onnxruntime")
BUILDS = [
    (image, wheel)
    for image in OF_DEVICES
    for wheel in load_lock(image, IMAGES).wheels
    if wheel.name in RUNTIMES and image != "bookworm-amd64"
]


@pytest.mark.parametrize(("image", "wheel"), BUILDS, ids=lambda value: getattr(value, "filename", value))
def test_every_locked_build_was_read_run_and_asked_for_its_operators(image: str, wheel: object) -> None:
    name, version = wheel.name, wheel.version  # type: ignore[attr-defined]
    facts = load_build(wheel.filename, TABLES)  # type: ignore[attr-defined]
    assert facts is not None, "python -m tests.record_builds builds"
    assert facts.sha256 == wheel.sha256  # type: ignore[attr-defined]
    cores = {
        os.emulated_cpu
        for each in available_devices(DEVICES)
        for os in load_device(each, DEVICES).os
        if os.image == image
    }
    loads = {load.emulated_cpu: load.outcome for load in facts.loads if load.image == image}
    assert loads == dict.fromkeys(cores, "loaded"), "python -m tests.record_builds loads"
    table = load_table(name, version, load_spec(image, IMAGES).architecture, TABLES)
    assert table is not None, f"python -m tests.record_operators {name}@{version}"
    assert (table.runtime, table.version) == (name, version)
    if isinstance(table, OnnxTable):
        assert (table.ir_version or 0) >= 10
        assert (table.opset or 0) >= 21
        assert {"Conv", "If", "QLinearConv"} <= {kernel.type for kernel in table.operators}
    else:
        conv, pool = (next(o for o in table.operators if o.type == name) for name in ("CONV_2D", "MAX_POOL_2D"))
        assert conv.versions[0] == 1
        assert conv.dtypes["float32"] == ("native" if table.architecture == "armhf" else "delegated")
        assert pool.dtypes["bool"].startswith("refused")
        assert "TFLite_Detection_PostProcess" in table.custom
        assert "NobodysOperator" not in table.custom


@pytest.mark.parametrize("image", OF_DEVICES)
def test_every_image_of_a_device_was_read_under_its_present_lock(image: str) -> None:
    facts = load_image(image, TABLES)
    assert facts is not None
    assert facts.lock == load_lock(image, IMAGES).digest, "python -m tests.record_builds images"
    assert facts.versions["GLIBC"] == load_spec(image, IMAGES).glibc
    assert {"libc.so.6", "libstdc++.so.6"} <= set(facts.sonames)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_index_holds_what_the_locks_name(runtime: str) -> None:
    index = load_index(runtime, TABLES)
    assert index is not None
    names = {wheel.filename for wheel in index.wheels}
    assert {wheel.filename for _image, wheel in BUILDS if wheel.name == runtime} <= names
    assert "http" not in index.source


def test_every_accelerator_has_its_source_and_date() -> None:
    known = available_accelerators(TABLES)
    assert {"armnn", "coral-edgetpu", "ethos-u55", "ethos-u85", "hailo-8", "tensorrt"} == set(known)
    for each in known:
        table = load_accelerator(each, TABLES)
        assert all((table.source, table.date, table.note))
        assert len(table.operators) > 20
        conv = "CONV_2D" if table.format == "tflite" else "Conv"
        assert conv in table.operators
    with pytest.raises(UsageError, match="unknown accelerator 'npu'"):
        load_accelerator("npu", TABLES)


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    for folder in ("wheels", "images", "builds", "operators", "accelerators"):
        (tmp_path / folder).mkdir()
    (tmp_path / "wheels" / "onnxruntime.json").write_text("{")
    (tmp_path / "images" / "x.json").write_text(json.dumps({"schema_version": 2}))
    (tmp_path / "builds" / "a.json").write_bytes(b"\xff")
    (tmp_path / "operators" / "onnxruntime-1-arm64.json").write_text("[]")
    (tmp_path / "accelerators" / "a.toml").write_text("name = 1")
    (tmp_path / "accelerators" / "b.toml").write_bytes(b"\xff")
    for load in (
        lambda: load_index("onnxruntime", tmp_path),
        lambda: load_image("x", tmp_path),
        lambda: load_build("a.whl", tmp_path),
        lambda: load_table("onnxruntime", "1", "arm64", tmp_path),
        lambda: load_accelerator("a", tmp_path),
        lambda: load_accelerator("b", tmp_path),
    ):
        with pytest.raises(DataFileError) as caught:
            load()
        assert str(tmp_path) in caught.value.message
        assert caught.value.hint
    assert load_index("none", tmp_path) is None
    assert load_build("none.whl", tmp_path) is None
    assert load_table("none", "1", "arm64", tmp_path) is None


def test_tables_say_what_the_reports_from_the_field_say() -> None:
    old = load_table("tflite-runtime", "2.11.0", "arm64", TABLES)
    new = load_table("ai-edge-litert", "2.3.0", "arm64", TABLES)
    assert isinstance(old, TfliteTable)
    assert isinstance(new, TfliteTable)
    newest = [
        max(next(operator.versions for operator in table.operators if operator.type == "FULLY_CONNECTED"))
        for table in (old, new)
    ]
    assert newest[0] < 12 <= newest[1]  # TensorFlow issue 80736: version 12 came with 2.17
