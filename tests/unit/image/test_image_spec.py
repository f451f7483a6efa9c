"""Image folders: every shipped one, what is refused, and what a digest stands for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import DataFileError, UsageError
from sandbox.image.spec import Lock, available_images, load_lock, load_spec
from tests.unit.image.image_samples import SPEC, lock, locked_deb, locked_wheel

IMAGES = Path(__file__).parents[3] / "images"
SHIPPED = available_images(IMAGES)
LOCKED = tuple(name for name in SHIPPED if (IMAGES / name / "lock.json").is_file())
TOML = 'title = "T"\nsuites = ["s"]\narchitecture = "arm64"\npackages = ["p"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "image.toml").write_text(TOML)
    return tmp_path


def test_there_are_images() -> None:
    assert {"bookworm-arm64", "emulator-amd64"} <= set(LOCKED)


@pytest.mark.parametrize("image_id", SHIPPED)
def test_shipped_image(image_id: str) -> None:
    spec = load_spec(image_id, IMAGES)
    assert spec.id == image_id
    assert image_id.endswith(spec.architecture)
    assert bool(spec.python) == bool(spec.runtimes) == bool(spec.glibc) != bool(spec.keep)
    assert all(suite.startswith(spec.suites[0]) for suite in spec.suites)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", wheel) for runtime in spec.runtimes for wheel in runtime.requires)


@pytest.mark.parametrize("image_id", LOCKED)
def test_shipped_lock_is_of_its_image(image_id: str) -> None:
    spec, lock = load_spec(image_id, IMAGES), load_lock(image_id, IMAGES)
    assert lock.image == image_id
    assert re.fullmatch(r"\d{8}T\d{6}Z", lock.resolved)
    names = [deb.name for deb in lock.debs]
    assert len(names) == len(set(names))
    assert set(spec.packages) <= set(names)
    assert all(deb.path.startswith("pool/") and deb.path.endswith(".deb") for deb in lock.debs)
    assert all(deb.path.endswith((f"_{spec.architecture}.deb", "_all.deb")) for deb in lock.debs)
    for runtime in spec.runtimes:
        assert lock.runtime_versions(runtime.name) == (runtime.version,)
        own = {wheel.name for wheel in lock.wheels if wheel.runtime == f"{runtime.name}-{runtime.version}"}
        assert own == {runtime.name, *(wheel.partition("==")[0] for wheel in runtime.requires)}
    platforms = (*spec.wheel_platforms, "any")
    assert all(wheel.filename.removesuffix(".whl").endswith(platforms) for wheel in lock.wheels)


def test_unknown_image_names_the_known() -> None:
    with pytest.raises(UsageError) as caught:
        load_spec("bookworm", IMAGES)
    assert caught.value.message == "unknown image 'bookworm'"
    assert caught.value.hint == "known: " + ", ".join(SHIPPED)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"title =", "Invalid value"),
        (b"\xff\xfe", "decode"),
        (b"", "title: Field required"),
        (TOML.encode() + b'packets = ["p"]', "packets: Extra inputs are not permitted"),
        (TOML.encode() + b'id = "other"', "id: "),
        (TOML.encode().replace(b"arm64", b"mips"), "architecture: Input should be 'amd64', 'arm64' or 'armhf'"),
    ],
)
def test_bad_image_file(content: bytes, message: str, folder: Path) -> None:
    (folder / "mine" / "image.toml").write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        load_spec("mine", folder)
    assert caught.value.message.startswith(f"{folder / 'mine' / 'image.toml'}: ")
    assert message in caught.value.message


def test_missing_lock(folder: Path) -> None:
    with pytest.raises(DataFileError) as caught:
        load_lock("mine", folder)
    assert caught.value.hint == "edge-sandbox images lock mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version: Input should be 1"),
        ({"debs": [{**locked_deb("a").model_dump(), "sha256": "0" * 63}]}, "debs.0.sha256: String should match"),
        ({"debs": [{**locked_deb("a").model_dump(), "sha256": "A" * 64}]}, "debs.0.sha256: String should match"),
        ({"debs": None}, "debs: "),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
    ],
)
def test_bad_lock(change: dict[str, Any], message: str, folder: Path) -> None:
    document = {**lock([locked_deb("a")]).model_dump(mode="json"), **change}
    (folder / "mine" / "lock.json").write_text(json.dumps(document))
    with pytest.raises(DataFileError) as caught:
        load_lock("mine", folder)
    assert message in caught.value.message
    assert caught.value.hint == "make it again: edge-sandbox images lock mine"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_lock(content: bytes, folder: Path) -> None:
    (folder / "mine" / "lock.json").write_bytes(content)
    with pytest.raises(DataFileError, match=r"lock\.json: "):
        load_lock("mine", folder)


DEBS = tuple(locked_deb(name, name.encode()) for name in ("libc6", "python3", "zlib1g"))
WHEELS = tuple(locked_wheel(name, name.encode()) for name in ("tflite-runtime", "flatbuffers"))
LOCK = lock(DEBS, WHEELS)


@given(st.permutations(DEBS), st.permutations(WHEELS), st.from_regex(r"20[0-9]{6}T[0-9]{6}Z", fullmatch=True))
def test_digest_is_of_the_bytes_alone(debs: list[Any], wheels: list[Any], resolved: str) -> None:
    other = Lock(image=SPEC.id, resolved=resolved, debs=tuple(debs), wheels=tuple(wheels))
    assert other.digest == LOCK.digest
    assert re.fullmatch(r"[0-9a-f]{64}", LOCK.digest)


@pytest.mark.parametrize(
    "change",
    [
        {"image": "another"},
        {"debs": DEBS[1:]},
        {"debs": (*DEBS[1:], DEBS[0].model_copy(update={"sha256": "0" * 64}))},
        {"debs": (*DEBS[1:], DEBS[0].model_copy(update={"version": "2"}))},
        {"wheels": ()},
        {"wheels": (*WHEELS[1:], WHEELS[0].model_copy(update={"runtime": "tflite-runtime-2.13.0"}))},
    ],
)
def test_digest_changes_with(change: dict[str, Any]) -> None:
    assert LOCK.model_copy(update=change).digest != LOCK.digest


def test_runtime_versions_are_not_those_of_other_wheels() -> None:
    assert LOCK.runtime_versions("tflite-runtime") == ("2.14.0",)
    assert LOCK.runtime_versions("flatbuffers") == ()


def test_wheel_platforms_end_at_the_image_s_glibc() -> None:
    tags = SPEC.wheel_platforms
    assert (tags[0], tags[-3:]) == (
        "manylinux_2_36_aarch64",
        ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"),
    )
    assert SPEC.model_copy(update={"architecture": "armhf", "glibc": None}).wheel_platforms == (
        "manylinux_2_17_armv7l",
        "manylinux2014_armv7l",
        "linux_armv7l",
    )
