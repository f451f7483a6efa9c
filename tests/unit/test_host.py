"""What this host can do: a finding for everything, whatever is broken."""

from __future__ import annotations

import io
import os
import platform
import shutil
from pathlib import Path

import pytest

from sandbox import host
from sandbox.engines.base import Problem
from sandbox.engines.guard import Guard
from sandbox.errors import HostError
from sandbox.host import Finding, examine, free_memory_bytes, host_facts
from sandbox.image import archives
from sandbox.image.build import ImageBuilder
from sandbox.image.emulator import Emulator
from sandbox.image.store import Store
from sandbox.progress import Silent
from sandbox.resources import data_directory

GUARD = Guard(io.BytesIO())
EMULATOR = Emulator(
    version="7.2", digest="d" * 64, architecture="amd64", triplet="x86_64-linux-gnu", root=Path("/cache/emulator")
)


class Docker:
    """A Docker engine that works."""

    def __init__(self, _emulator: Emulator, _guard: Guard) -> None:
        pass

    def probe(self) -> Problem | None:
        return None


@pytest.fixture(autouse=True)
def a_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host whose probes find nothing wrong, but whose apt knows no archive, so that nothing can be downloaded."""
    monkeypatch.setattr(archives, "_APT_SOURCES", tmp_path / "apt")
    monkeypatch.setattr(archives, "_PYTHON_APT_TEMPLATE", tmp_path / "no-template")
    for name in ("EDGE_SANDBOX_MIRROR", "EDGE_SANDBOX_SNAPSHOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(host, "host_architecture", lambda: "amd64")
    monkeypatch.setattr(host, "probe_namespaces", lambda _emulator: None)
    monkeypatch.setattr(host, "DockerEngine", Docker)
    monkeypatch.setattr(host, "limit_mechanism", lambda: "cgroup v2")


def builder(cache: Path) -> ImageBuilder:
    return ImageBuilder(images=data_directory("images"), store=Store(cache), progress=Silent())


class Built(ImageBuilder):
    """A builder that has its emulator."""

    def emulator(self) -> Emulator:
        return EMULATOR


def built(cache: Path) -> Built:
    return Built(images=data_directory("images"), store=Store(cache), progress=Silent())


def found(one: ImageBuilder) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(one, GUARD)}


def test_a_builder_that_cannot_build(tmp_path: Path) -> None:
    findings = list(examine(builder(tmp_path / "cache"), GUARD))
    assert [(finding.subject, finding.status) for finding in findings] == [
        ("host", "ok"),
        ("cache", "ok"),
        ("Debian archive", "limited"),
        ("emulator", "missing"),
    ]
    assert findings[2].detail == "apt on this host knows none; built images still work"
    assert findings[2].hint == "set EDGE_SANDBOX_MIRROR to a Debian mirror before the first build"
    assert findings[3].detail == "this host's apt configuration names no Debian archive"
    assert "EDGE_SANDBOX_MIRROR" in (findings[3].hint or "")


def test_image_files_that_are_not_there(tmp_path: Path) -> None:
    broken = ImageBuilder(images=tmp_path, store=Store(tmp_path), progress=Silent())
    finding = found(broken)["emulator"]
    assert finding.status == "missing"
    assert finding.hint


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    findings = found(builder(file / "cache"))
    assert findings["cache"] == Finding(
        subject="cache",
        status="missing",
        detail=f"{file / 'cache'}: {file} is no folder",
        hint="set EDGE_SANDBOX_CACHE=DIR",
    )
    assert findings["emulator"].status == "missing"


def test_a_cache_whose_name_no_file_system_takes(tmp_path: Path) -> None:
    findings = found(builder(tmp_path / ("x" * 300) / "cache"))
    assert findings["cache"].status == "ok", "nothing is there yet"
    assert findings["emulator"].status == "missing"
    assert "cannot write to" in findings["emulator"].detail


def test_a_cache_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    finding = found(builder(tmp_path / "cache"))["cache"]
    assert (finding.status, finding.hint) == ("missing", "set EDGE_SANDBOX_CACHE=DIR")
    assert finding.detail.endswith(" free, not writable")


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 300_000_000})())
    finding = found(builder(tmp_path / "cache"))["cache"]
    assert (finding.status, finding.hint) == ("limited", "an image takes about 250 MB")
    assert finding.detail == f"{tmp_path / 'cache'}, 300 MB free"


def test_apt_sources_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources with a password in them are readable by root alone."""

    def refuse(_mirror: str | None) -> None:
        raise PermissionError(13, "Permission denied", "/etc/apt/sources.list.d/private.list")

    monkeypatch.setattr(host, "find_sources", refuse)
    finding = found(built(tmp_path))["Debian archive"]
    assert finding.status == "limited"
    assert finding.detail == (
        "apt's configuration cannot be read: /etc/apt/sources.list.d/private.list: Permission denied"
    )


def test_archives_are_counted(tmp_path: Path) -> None:
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt" / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    finding = found(built(tmp_path))["Debian archive"]
    assert (finding.status, finding.detail) == ("ok", "1 known")


def test_a_host_of_another_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise HostError("no emulator for riscv64", hint="use another host")

    monkeypatch.setattr(host, "host_architecture", unknown)
    assert found(built(tmp_path))["host"] == Finding(
        subject="host", status="missing", detail="no emulator for riscv64", hint="use another host"
    )


def test_a_host_with_everything(tmp_path: Path) -> None:
    findings = found(built(tmp_path))
    assert list(findings) == [
        *("host", "cache", "Debian archive", "emulator"),
        *("engine local", "memory limit", "engine docker", "engine native"),
    ]
    assert findings["emulator"].detail == "QEMU 7.2, dddddddddddd"
    assert findings["engine local"].detail == "bubblewrap, no root, no daemon"
    assert findings["memory limit"].detail == "cgroup v2: the kernel keeps it"
    assert findings["engine native"] == Finding(
        subject="engine native", status="limited", detail="needs a 64-bit ARM host", hint="use engine local"
    )


def test_an_engine_that_is_not_there_is_a_limit_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(reason="no namespaces", hint="sysctl")
    monkeypatch.setattr(host, "probe_namespaces", lambda _emulator: problem)
    finding = found(built(tmp_path))["engine local"]
    assert (finding.status, finding.detail, finding.hint) == ("limited", "no namespaces", "sysctl")


def test_a_probe_that_breaks_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_emulator: Emulator) -> None:
        raise HostError("cannot start bwrap: No such file or directory", hint="build the emulator again")

    monkeypatch.setattr(host, "probe_namespaces", breaks)
    findings = found(built(tmp_path))
    assert findings["engine local"].detail == "cannot start bwrap: No such file or directory"
    assert findings["engine local"].status == "limited"
    assert list(findings)[-1] == "engine native"


def test_a_limit_that_only_a_watchdog_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "limit_mechanism", lambda: "watchdog")
    finding = found(built(tmp_path))["memory limit"]
    assert finding.status == "limited"
    assert "a watchdog keeps the limit, checking every 10 ms" in finding.detail


def test_facts_name_no_one() -> None:
    facts = host_facts()
    assert set(facts) == {"machine", "kernel", "python", "processors", "memory_bytes", "free_memory_bytes"}
    assert facts["processors"] >= 1
    assert facts["memory_bytes"] > 1 << 28
    assert platform.node() not in map(str, facts.values())


def test_free_memory_is_what_the_container_leaves(tmp_path: Path) -> None:
    assert free_memory_bytes(5000, tmp_path) == 5000, "a host that does not tell"
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\nMemAvailable:   3 kB\n")
    assert free_memory_bytes(5000, tmp_path) == 3072
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/\n")
    (tmp_path / "self" / "mountinfo").write_text(f"35 24 0:30 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "memory.max").write_text("1024\n")
    assert free_memory_bytes(5000, tmp_path) == 1024
