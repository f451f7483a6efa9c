"""Which wheel pip takes on an image, from the wheels that the index really has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.compatibility.facts import IndexFacts, IndexWheel, load_build, load_image, load_index
from sandbox.compatibility.install import choose_wheel, newest_version, stricter_than_its_files, tag_glibc, with_elf
from sandbox.compatibility_result import Install
from sandbox.image.spec import load_lock, load_spec
from sandbox.resources import data_directory

TABLES = data_directory("compatibility")
IMAGES = data_directory("images")


def chosen(image: str, runtime: str, version: str) -> Install:
    return choose_wheel(load_index(runtime, TABLES), version, load_spec(image, IMAGES))


@pytest.mark.parametrize("image", ["bookworm-arm64", "bookworm-armhf", "bullseye-arm64", "trixie-arm64"])
def test_pip_chose_the_same_for_the_lock(image: str) -> None:
    for wheel in load_lock(image, IMAGES).wheels:
        if load_index(wheel.name, TABLES):
            found = chosen(image, wheel.name, wheel.version)
            assert (found.status, found.wheel) == ("pass", wheel.filename)


def test_a_tag_that_is_stricter_than_the_files() -> None:
    """TensorFlow issue 62377."""
    found = chosen("bullseye-arm64", "tflite-runtime", "2.14.0")
    assert (found.status, found.wheel) == ("fail", None)
    assert "manylinux_2_34_aarch64 asks for a newer glibc than the image's 2.31" in found.reason
    assert "versions that fit: 2.13.0" in found.reason
    facts = load_build("tflite_runtime-2.14.0-cp39-cp39-manylinux_2_34_aarch64.whl", TABLES)
    image = load_image("bullseye-arm64", TABLES)
    assert facts
    assert image
    spec = load_spec("bullseye-arm64", IMAGES)
    assert stricter_than_its_files(facts, image, spec) == (
        f"the tag of {facts.wheel} asks for glibc 2.34, but its files need only 2.27 and the image has 2.31"
    )
    assert stricter_than_its_files(facts, image, load_spec("bookworm-arm64", IMAGES)) is None


def test_a_tag_that_promises_more_than_the_files_keep() -> None:
    facts = load_build("tflite_runtime-2.12.0-cp39-cp39-manylinux2014_aarch64.whl", TABLES)
    assert facts
    found = with_elf(chosen("bullseye-arm64", "tflite-runtime", "2.12.0"), facts, load_image("bullseye-arm64", TABLES))
    assert (found.tag_glibc, found.elf_glibc) == ("2.17", "2.34")
    assert "its tag promises glibc 2.17, but its files need 2.34" in found.reason
    assert "does not load with the image's 2.31" in found.reason


def test_no_wheel_for_the_machine() -> None:
    """openWakeWord issue 269."""
    found = chosen("bookworm-armhf", "onnxruntime", "1.22.0")
    assert found.status == "fail"
    assert "none for armv7l, only for aarch64, x86_64" in found.reason
    assert "no version has a wheel for this image" in found.reason


def test_no_wheel_for_the_python() -> None:
    """LiteRT issue 4667."""
    found = chosen("trixie-arm64", "ai-edge-litert", "1.2.0")
    assert "none for cp313 on aarch64, only for" in found.reason
    assert next(known.version for known in found.versions if known.fits) == "2.3.0"


def test_a_version_that_nobody_published() -> None:
    found = chosen("bookworm-arm64", "onnxruntime", "99.0")
    assert "had no wheel of onnxruntime 99.0 on 20" in found.reason
    assert chosen("bookworm-arm64", "onnxruntime", "latest").status == "fail"
    assert choose_wheel(None, "1", load_spec("bookworm-arm64", IMAGES)).status == "unknown"


@pytest.mark.parametrize(
    ("tag", "glibc"),
    [
        ("manylinux_2_27_aarch64.manylinux_2_28_aarch64", "2.27"),
        ("manylinux2014_aarch64", "2.17"),
        ("manylinux1_x86_64", "2.5"),
        ("linux_armv7l", None),
        ("any", None),
    ],
)
def test_glibc_of_a_tag(tag: str, glibc: str | None) -> None:
    assert tag_glibc(f"name-1.0-cp311-cp311-{tag}.whl") == glibc


def test_what_the_index_says_of_pythons_counts() -> None:
    names = ["x-2.0-py3-none-any.whl", "x-1.0-py3-none-any.whl", "x-3.0rc1-py3-none-any.whl"]
    wheels = tuple(
        IndexWheel(filename=name, requires_python=python)
        for name, python in zip(names, [">=3.14", None, "nonsense"], strict=True)
    )
    index = IndexFacts(runtime="x", source="here", recorded="2026-11-21", wheels=wheels)
    spec = load_spec("bookworm-arm64", IMAGES)
    assert choose_wheel(index, "2.0", spec).status == "fail"
    assert choose_wheel(index, "1.0", spec).wheel == names[1]
    assert choose_wheel(index, "3.0rc1", spec).status == "pass"  # pip ignores what it cannot read
    assert newest_version(index) == "2.0"


@given(st.lists(st.text(max_size=40)), st.text(max_size=10))
def test_names_that_are_no_wheels_are_left_out(names: list[str], version: str) -> None:
    wheels = tuple(IndexWheel(filename=name) for name in names)
    index = IndexFacts(runtime="x", source="here", recorded="2026-11-21", wheels=wheels)
    assert choose_wheel(index, version, load_spec("bookworm-arm64", IMAGES)).status == "fail"
