"""What ``doctor`` says of what microcontrollers need."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sandbox.engines.guard import Guard
from sandbox.host import Finding
from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.microcontroller.doctor import examine
from sandbox.progress import Silent
from sandbox.resources import data_directory
from tests.unit.microcontroller.elf_files import attributes
from tests.unit.microcontroller.test_tflm import folder, library


def found(cache: Path) -> dict[str, Finding]:
    builder = ImageBuilder(images=data_directory("images"), store=Store(cache), progress=Silent())
    return {finding.subject: finding for finding in examine(builder, Guard(io.BytesIO()))}


def program(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host without any of it."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGE_SANDBOX_TFLM", raising=False)


def test_a_host_without_any_of_it(tmp_path: Path) -> None:
    findings = found(tmp_path / "cache")
    assert [(subject, finding.status) for subject, finding in findings.items()] == [
        ("qemu-system", "ok"),
        ("renode", "limited"),
        ("ARM compiler", "limited"),
        ("TFLM library", "limited"),
    ]
    assert findings["qemu-system"].detail.endswith("fetched when it is first needed")
    assert all(finding.hint for finding in findings.values() if finding.status == "limited")
    assert not (tmp_path / "cache").exists(), "it downloads nothing"


@pytest.mark.subprocess
def test_versions_are_told(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "renode", "Renode v1.16.1.2670")
    program(tmp_path / "bin" / "arm-none-eabi-g++", "12.2.1")
    findings = found(tmp_path)
    assert findings["renode"] == Finding(subject="renode", status="ok", detail="Renode 1.16.1")
    assert findings["ARM compiler"].detail == f"{tmp_path / 'bin' / 'arm-none-eabi-g++'}, GCC 12.2.1"


def test_a_remembered_library_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tflm").mkdir()
    monkeypatch.setenv("EDGE_SANDBOX_TFLM", str(folder(tmp_path / "tflm", library(attributes(13)))))
    finding = found(tmp_path)["TFLM library"]
    assert finding.status == "ok"
    assert finding.detail.endswith("tflm: libtflm.a (Armv7E-M, hard-float ABI, reference kernels)")


def test_a_remembered_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SANDBOX_TFLM", str(tmp_path / "gone"))
    finding = found(tmp_path)["TFLM library"]
    assert (finding.status, "is no folder" in finding.detail) == ("limited", True)


def test_a_folder_of_libraries_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tflm").mkdir()
    monkeypatch.setenv("EDGE_SANDBOX_TFLM", str(folder(tmp_path / "tflm", b"junk")))
    finding = found(tmp_path)["TFLM library"]
    assert (finding.status, "libtflm.a: it is no static library" in finding.detail) == ("limited", True)
