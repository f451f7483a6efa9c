"""The run folder: what we write reads back; what the guest wrote is read with suspicion."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import rundir
from sandbox.device import load_device, select_os
from sandbox.engines.base import MemoryTrace, Outcome
from sandbox.errors import DataFileError, HostError
from sandbox.measurements import Code
from sandbox.metrics import Metric, Unavailable
from sandbox.record import (
    DeviceRecord,
    EngineRecord,
    Image,
    ModelRecord,
    OperatorRecord,
    RunRecord,
    RuntimeRecord,
    TensorRecord,
)

SPECS = Path(__file__).parents[2] / "device_specs"

RECORD = RunRecord(
    tool_version="0.1.0",
    started="2026-11-21T06:00:00Z",
    host={"machine": "x86_64", "cores": 2},
    model=ModelRecord(
        path="model.onnx",
        sha256="0" * 64,
        format="onnx",
        size_bytes=1234,
        weights_bytes=1000,
        inputs=(TensorRecord(name="input", dtype="float32", shape=("batch", 3, None)),),
        outputs=(),
        operators=(OperatorRecord(index=0, type="Conv", version=11, domain="", custom=False, dtype="float32"),),
    ),
    device=DeviceRecord(
        id="rpi4b",
        name="Raspberry Pi 4B",
        core="cortex-a72",
        cores=4,
        emulated_cpu="cortex-a72",
        page_size_bytes=4096,
        ram_bytes=4 * 2**30,
        available=Unavailable(unavailable="no source"),
        memory_limit_bytes=4 * 2**30,
        memory_limit_source="the whole RAM",
        tick_ns=(2, 3),
    ),
    image=Image(id="bookworm-arm64", title="Bookworm", digest="1" * 64),
    runtime=RuntimeRecord(name="onnxruntime", version="1.31.1", threads=1),
    engine=EngineRecord(name="local", emulator_digest="2" * 64, isolated=True),
    inputs="random (seed 0)",
    caches=False,
    jobs=("latency", "heap"),
)
OUTCOME = Outcome(
    exit_code=None,
    signal=9,
    out_of_memory=True,
    limit_mechanism="cgroup v2",
    isolation="bubblewrap",
    emulator="QEMU 7.2",
    seconds=1.5,
    stderr="ends \x00 with a bell \a and \ufffd",
    memory=MemoryTrace(samples=((0.25, 1 << 20, 2 << 20), (0.5, 2 << 20, 2 << 20)), guest_peak_bytes=2 << 20),
)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        RECORD.model_copy(
            update={
                "device": RECORD.device.model_copy(
                    update={"available": Metric(value=3.5e9, unit="byte", mode="measured", source="spec")}
                )
            }
        ),
    ],
)
def test_record_reads_back(record: RunRecord, tmp_path: Path) -> None:
    rundir.write_record(tmp_path, record)
    assert rundir.read_record(tmp_path) == record


def test_record_of_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataFileError) as caught:
        rundir.read_record(tmp_path)
    assert caught.value.message == f"{tmp_path} is not a run folder: run.json is missing"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "run.json: schema_version: Input should be 1"),
        ({"model": {**RECORD.model.model_dump(), "format": "caffe"}}, "run.json: model.format: Input should be "),
        ({"caches": "perhaps"}, "run.json: caches: Input should be a valid boolean"),
        (
            {"device": {**RECORD.device.model_dump(), "tick_ns": [2]}},
            "run.json: device.tick_ns.1: Field required",
        ),
        ({"surprise": 1}, "run.json: surprise: Extra inputs are not permitted"),
    ],
)
def test_record_of_another_version(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**RECORD.model_dump(mode="json"), **change}))
    with pytest.raises(DataFileError) as caught:
        rundir.read_record(tmp_path)
    assert message in caught.value.message
    assert caught.value.hint == "run the profile again"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000])
def test_damaged_record(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(DataFileError, match=r"run\.json: the file: "):
        rundir.read_record(tmp_path)


def test_outcome_reads_back(tmp_path: Path) -> None:
    rundir.write_outcome(tmp_path, OUTCOME)
    assert rundir.read_outcome(tmp_path) == OUTCOME


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"exit_code": "no"}', b"[" * 100_000])
def test_missing_or_damaged_outcome(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "outcome.json").write_bytes(content)
    with pytest.raises(DataFileError, match=r"outcome\.json is missing or damaged"):
        rundir.read_outcome(tmp_path)


def test_outcome_is_not_written_through_what_the_guest_left(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "outcome.json").symlink_to(victim)
    rundir.write_outcome(tmp_path, OUTCOME)
    assert victim.read_text() == "kept"
    (tmp_path / "outcome.json").unlink()
    (tmp_path / "outcome.json" / "folder").mkdir(parents=True)
    rundir.write_outcome(tmp_path, OUTCOME)
    assert rundir.read_outcome(tmp_path) == OUTCOME


def test_runner_report(tmp_path: Path) -> None:
    assert rundir.read_runner_report(tmp_path) is None
    (tmp_path / "runner.json").write_text('{"schema": 1}')
    assert rundir.read_runner_report(tmp_path) == {"schema": 1}


HOSTILE = [
    b"",
    b"\0",
    b"\xff\xfe\xfa",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"9" * 10_000,
]


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_runner_report_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "runner.json").write_bytes(content)
    assert rundir.read_runner_report(tmp_path) is None


def test_phases(tmp_path: Path) -> None:
    assert rundir.read_phases(tmp_path) == ()
    lines = '{"phase": "import", "monotonic_ns": 2999955170955}\n{"phase": "load", "monotonic_ns": 3011064998597}\n'
    (tmp_path / "phases.jsonl").write_text(lines)
    assert rundir.read_phases(tmp_path) == (("import", 2999.955170955), ("load", 3011.064998597))


@pytest.mark.parametrize(
    "line",
    [
        *HOSTILE,
        b"{}",
        b'{"phase": "x"}',
        b'{"monotonic_ns": 1}',
        b'{"phase": "x", "monotonic_ns": "soon"}',
        b'{"phase": "x", "monotonic_ns": null}',
        b'{"phase": "x", "monotonic_ns": {}}',
        b'{"phase": "x", "monotonic_ns": NaN}',
        b'{"phase": "x", "monotonic_ns": 1e999}',
        b'{"phase": "x", "monotonic_ns": "-inf"}',
        b'{"phase": "x", "monotonic_ns": 1' + b"0" * 400 + b"}",
        b'{"phase": {"deep": []}, "monotonic_ns": 1}',
    ],
)
def test_hostile_phases_are_left_out(line: bytes, tmp_path: Path) -> None:
    good = b'{"phase": "load", "monotonic_ns": 1e9}'
    (tmp_path / "phases.jsonl").write_bytes(b"\n".join([line, good, line]))
    assert rundir.read_phases(tmp_path) == (("load", 1.0),)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(tmp_path: Path, content: bytes) -> None:
    for name in ("phases.jsonl", "runner.json"):
        (tmp_path / name).write_bytes(content)
    assert rundir.read_phases(tmp_path) == ()
    assert rundir.read_runner_report(tmp_path) in (None, {})


def test_a_link_to_a_file_of_the_host_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"phase": "secret", "monotonic_ns": 1}')
    for name in ("phases.jsonl", "runner.json"):
        (tmp_path / name).symlink_to(secret)
    assert rundir.read_phases(tmp_path) == ()
    assert rundir.read_runner_report(tmp_path) is None


@pytest.mark.timeout(10)
def test_a_pipe_that_nobody_writes_to_does_not_block(tmp_path: Path) -> None:
    for name in ("phases.jsonl", "runner.json"):
        os.mkfifo(tmp_path / name)
    assert rundir.read_phases(tmp_path) == ()
    assert rundir.read_runner_report(tmp_path) is None


def test_a_file_larger_than_memory_is_not_read(tmp_path: Path) -> None:
    for name in ("phases.jsonl", "runner.json"):
        (tmp_path / name).write_bytes(b"{}")
        os.truncate(tmp_path / name, 1 << 40)
    assert rundir.read_phases(tmp_path) == ()
    assert rundir.read_runner_report(tmp_path) is None


CODES = {
    0x1000: Code(function="ruy::Pack", library="ruy", place="lib.so+10"),
    2**64 - 1: Code(function=None, library="\u00fc\n.so", place="\u00fc\n.so+0"),
}


def test_code_reads_back(tmp_path: Path) -> None:
    assert rundir.read_code(tmp_path) == {}
    rundir.write_code(tmp_path, CODES)
    assert rundir.read_code(tmp_path) == CODES
    rundir.write_code(tmp_path, {})
    assert rundir.read_code(tmp_path) == {}


def test_code_is_not_written_through_what_the_guest_left(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "code.json").symlink_to(victim)
    assert rundir.read_code(tmp_path) == {}, "a link is not followed"
    rundir.write_code(tmp_path, CODES)
    assert victim.read_text() == "kept"
    assert rundir.read_code(tmp_path) == CODES


@pytest.mark.parametrize(
    "content",
    [
        *HOSTILE,
        b'{"1000": ["f", "lib"]}',
        b'{"1000": ["f", "lib", "place", 4]}',
        b'{"1000": null}',
        b'{"1000": 3}',
        b'{"zz": ["f", "lib", "place"]}',
        b'{"1000": ' + b"[" * 100 + b"]" * 100 + b"}",
    ],
)
def test_hostile_code_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "code.json").write_bytes(content)
    assert rundir.read_code(tmp_path) == {}


def test_code_of_the_guest_holds_text_alone(tmp_path: Path) -> None:
    (tmp_path / "code.json").write_text('{"a": ["\\ud800", ["x"], {"y": 1}], "B": [null, null, 3]}')
    assert rundir.read_code(tmp_path) == {
        0xA: Code(function="?", library="['x']", place="{'y': 1}"),
        0xB: Code(function=None, library="None", place="3"),
    }


def test_identity_is_the_device_s(tmp_path: Path) -> None:
    device = load_device("rpi4b", SPECS)
    os_choice = select_os(device, None)
    folder = rundir.write_identity(tmp_path, device, os_choice, 512 * 2**20)
    assert folder == tmp_path / "device"
    assert (folder / "cpuinfo").read_text().count("processor\t: ") == device.cpu.cores == 4
    assert "MemAvailable:     524288 kB\n" in (folder / "meminfo").read_text()
    assert sorted(path.name for path in (folder / "cpu").iterdir()) == sorted(
        ["cpu0", "cpu1", "cpu2", "cpu3", "online", "possible", "present"]
    )
    assert {(folder / "cpu" / name).read_text() for name in ("online", "possible", "present")} == {"0-3\n"}
    assert rundir.write_identity(tmp_path, device, os_choice, 2**30) == folder, "a second run may overwrite it"


def test_available_memory_is_never_above_the_total(tmp_path: Path) -> None:
    device = load_device("rpi4b", SPECS).model_copy(update={"ram_bytes": 2**30})
    one_core = device.model_copy(update={"cpu": device.cpu.model_copy(update={"cores": 1})})
    os_choice = select_os(device, None).model_copy(update={"mem_total_bytes": None})
    folder = rundir.write_identity(tmp_path, one_core, os_choice, 2**33)
    values = dict(line.split(":") for line in (folder / "meminfo").read_text().splitlines())
    assert values["MemTotal"].split() == values["MemAvailable"].split() == ["1048576", "kB"]
    assert (folder / "cpu" / "online").read_text() == "0\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_the_host_s_fault(tmp_path: Path, number: int) -> None:
    with pytest.raises(HostError, match="cannot be written") as caught, rundir.on_disk(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "--run-dir" in str(caught.value.hint)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), rundir.on_disk(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_no_verdict_from_a_guest_that_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rundir.require_room(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=4096))
    with pytest.raises(HostError, match=r"4.10 kB are free on this disk: too little"):
        rundir.require_room(tmp_path)
