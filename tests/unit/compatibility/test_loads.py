"""Which versions ran on an image: the shipped tables, and the ones around a version that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.check import CheckRequest, check
from sandbox.compatibility.loads import LoadRow, Loads, load_loads, versions_around
from sandbox.compatibility_checks import with_versions
from sandbox.device import available_devices, load_device
from sandbox.errors import DataFileError
from sandbox.resources import data_directory
from sandbox.verdict import Failure
from tests.record_runs import PROJECT

EXAMPLE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
TABLES = sorted(path.stem for path in (data_directory("compatibility") / "loads").glob("*.json"))


def row(version: str, outcome: str = "loaded", cpu: str = "cortex-a53", page: int = 4096) -> LoadRow:
    return LoadRow.model_validate(
        {"runtime": "onnxruntime", "version": version, "emulated_cpu": cpu, "page_size_bytes": page}
        | {"outcome": outcome, "detail": ""}
    )


def around(rows: list[LoadRow], version: str, cpu: str = "cortex-a72", page: int = 4096) -> tuple[str, ...]:
    loads = Loads(image="bookworm-arm64", recorded="2026-11-21", emulator="QEMU 7.2", rows=tuple(rows))
    return versions_around(loads, "onnxruntime", version, cpu, page)


def test_the_nearest_on_either_side() -> None:
    rows = [row("1.9.0"), row("1.10.0"), row("1.21.0", "illegal instruction"), row("1.22.0"), row("1.30.0")]
    assert around(rows, "1.21.0") == ("1.10.0", "1.22.0"), "by number, not by letter"
    assert around(rows, "1.22.0") == ("1.10.0", "1.30.0"), "never the same one"
    assert around(rows, "1.30.0") == ("1.22.0",)
    assert around([], "1.21.0") == ()


def test_what_ran_on_an_older_core_runs_on_a_newer_one() -> None:
    assert around([row("1.0")], "2.0", cpu="cortex-a76") == ("1.0",)
    assert around([row("1.0", cpu="cortex-a76")], "2.0", cpu="cortex-a53") == ()
    assert around([row("1.0")], "2.0", cpu="max") == (), "nothing is known of that core"
    assert around([row("1.0", cpu="max")], "2.0", cpu="max") == ("1.0",)


def test_what_ran_with_small_pages_may_not_with_large_ones() -> None:
    assert around([row("1.0", page=4096)], "2.0", page=16384) == ()
    assert around([row("1.0", page=16384)], "2.0", page=4096) == ("1.0",)


@pytest.mark.parametrize("image", TABLES)
def test_a_shipped_table(image: str) -> None:
    loads = load_loads(image, data_directory("compatibility"))
    assert loads is not None
    assert loads.image == image
    assert len({(r.runtime, r.version, r.emulated_cpu, r.page_size_bytes) for r in loads.rows}) == len(loads.rows)
    assert all(bool(r.detail) == (r.outcome != "loaded") for r in loads.rows)
    specs = data_directory("device_specs")
    emulated = {
        (os.emulated_cpu, os.page_size_bytes)
        for name in available_devices(specs)
        for os in load_device(name, specs).os
        if os.image == image
    }
    assert {(r.emulated_cpu, r.page_size_bytes) for r in loads.rows} <= emulated


@pytest.mark.parametrize("content", ["", "{}", '{"image": 1}', "[" * 100_000])
def test_a_damaged_table(content: str, tmp_path: Path) -> None:
    path = tmp_path / "loads" / "bookworm-arm64.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(DataFileError, match=r"bookworm-arm64\.json: no table of loads"):
        load_loads("bookworm-arm64", tmp_path)
    assert load_loads("other", tmp_path) is None


def test_check_names_a_version_that_ran_not_only_one_that_pip_takes() -> None:
    """pip takes 2.13.0 on Bullseye, but that was compiled for a newer NumPy; 2.12.0 needs a newer glibc."""
    request = CheckRequest(model=EXAMPLE, device="rpi4b", os="bullseye-arm64", runtime="tflite-runtime@2.14.0")
    assert check(request).verdict.fix == "use another version: tflite-runtime 2.11.0 ran on this image under emulation"


def test_a_failed_run_names_them_too() -> None:
    request = CheckRequest(model=EXAMPLE, device="rpi4b", os="bullseye-arm64", runtime="tflite-runtime@2.12.0")
    found = check(request).compatibility
    failure = Failure(check="abi", reason="no glibc", fix="choose another")
    more = with_versions(failure, found)
    assert more is not None
    assert more.fix == "choose another; tflite-runtime 2.11.0 ran on this image under emulation"
    assert with_versions(more, found) is more, "once is enough"
    other = Failure(check="memory", reason="too large")
    assert with_versions(other, found) is other
    assert with_versions(None, found) is None
    assert with_versions(failure, None) is failure
