"""The pre-flight: needs of real builds against real images, and devices that differ in one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compatibility.abi import abi_findings, numpy_version
from sandbox.compatibility.facts import BuildFacts, LibraryFacts, load_build, load_image
from sandbox.compatibility_result import AbiFinding
from sandbox.device import load_device, select_os
from sandbox.image.spec import load_lock, load_spec
from sandbox.resources import data_directory

TABLES, IMAGES, DEVICES = (data_directory(name) for name in ("compatibility", "images", "device_specs"))
TFLITE = "tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_aarch64.whl"
TFLITE_32 = "tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl"
LITERT = "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl"
ARMV6 = """
name = "Raspberry Pi Zero W"
soc = "Broadcom BCM2835"
ram_bytes = 536_870_912
[cpu]
core = "arm1176jzf-s"
implementer = 0x41
part = 0xb76
variant = 0x0
revision = 7
cores = 1
clock_hz = 1_000_000_000
features_32 = ["half", "thumb", "fastmult", "vfp", "edsp", "java", "tls"]
[[os]]
image = "bookworm-armhf"
emulated_cpu = "arm1176"
page_size_bytes = 4096
kernel_bits = 32
"""


def facts_of(wheel: str) -> BuildFacts:
    facts = load_build(wheel, TABLES)
    assert facts is not None
    return facts


def findings(facts: BuildFacts, image: str, device: str = "rpi4b") -> tuple[AbiFinding, ...]:
    spec = load_device(device, DEVICES)
    offered = load_image(image, TABLES)
    assert offered is not None
    return abi_findings(
        facts,
        offered,
        spec=load_spec(image, IMAGES),
        lock=load_lock(image, IMAGES),
        device=spec,
        os=select_os(spec, image),
    )


def failed(found: tuple[AbiFinding, ...]) -> dict[str, str]:
    return {finding.need: finding.reason for finding in found if finding.status == "fail"}


def with_library(wheel: str, **changes: object) -> BuildFacts:
    facts = facts_of(wheel)
    libraries = [LibraryFacts.model_validate({**each.model_dump(), **changes}) for each in facts.libraries]
    return facts.model_copy(update={"libraries": tuple(libraries)})


@pytest.mark.parametrize(("wheel", "image"), [(TFLITE, "bookworm-arm64"), (TFLITE_32, "bookworm-armhf")])
def test_a_build_that_fits(wheel: str, image: str) -> None:
    found = findings(facts_of(wheel), image)
    assert failed(found) == {}
    needs = {finding.need: finding.has for finding in found}
    assert needs["GLIBC_2.27"] == "GLIBC_2.36"
    assert "pages of 4096" in needs["segment alignment"]


def test_symbol_versions_that_the_image_lacks() -> None:
    """ai-edge-litert 2.3.0 on Debian 11: what its loader says there."""
    reasons = failed(findings(facts_of(LITERT), "bullseye-arm64"))
    assert {"GLIBCXX_3.4.30", "CXXABI_1.3.13", "GLIBC_2.34"} <= set(reasons)
    assert reasons["GLIBCXX_3.4.30"].startswith("version `GLIBCXX_3.4.30' not found")


def test_a_build_for_numpy_1_beside_numpy_2() -> None:
    """BirdNET-Pi issue 314."""
    assert (numpy_version(load_lock("trixie-arm64", IMAGES)) or "").startswith("2.")
    reasons = failed(findings(with_library(TFLITE, python=None), "trixie-arm64"))
    assert "_ARRAY_API not found" in reasons["C API of NumPy 1"]
    assert "C API of NumPy 1 or 2" not in failed(findings(facts_of(LITERT), "trixie-arm64"))


def test_metadata_that_asks_for_a_newer_numpy() -> None:
    reasons = failed(findings(facts_of("tflite_runtime-2.13.0-cp39-cp39-manylinux2014_aarch64.whl"), "bullseye-arm64"))
    assert any("the image has NumPy 1.19.5" in reason for reason in reasons.values())


def test_segments_that_a_page_size_does_not_fit() -> None:
    small = with_library(TFLITE, alignment_bytes=4096)
    assert "segment alignment" not in failed(findings(small, "bookworm-arm64", "rpi4b"))
    reason = failed(findings(small, "bookworm-arm64", "rpi5"))["segment alignment"]
    assert "ELF load command alignment not page-aligned" in reason
    assert "16384" in reason


def test_another_python_and_another_machine() -> None:
    assert "Python 3.11" in failed(findings(with_library(TFLITE, python="3.11"), "trixie-arm64"))
    assert "machine amd64" in failed(findings(with_library(TFLITE, machine="amd64"), "bookworm-arm64"))


def test_a_library_that_is_nowhere() -> None:
    reasons = failed(findings(with_library(TFLITE, needed=["libedgetpu.so.1"]), "bookworm-arm64"))
    assert reasons["libedgetpu.so.1"].startswith("cannot open shared object file")


def test_an_armv6_core(tmp_path: Path) -> None:
    """wyoming-openwakeword issue 9: a Pi Zero W."""
    path = tmp_path / "zero-w.toml"
    path.write_text(ARMV6)
    reasons = failed(findings(facts_of(TFLITE_32), "bookworm-armhf", str(path)))
    assert "ARMv7 (CPU name 7-A)" in reasons
    assert "illegal instruction" in reasons["ARMv7 (CPU name 7-A)"]
    assert {"NEON", "VFPv4"} <= set(reasons)
    assert failed(findings(facts_of(TFLITE_32), "bookworm-armhf", "rpi2b")) == {}
