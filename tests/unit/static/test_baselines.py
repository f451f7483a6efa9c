"""The recorded baselines: every shipped image and runtime has one, and no other version's stands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.device import available_devices, load_device
from sandbox.errors import DataFileError
from sandbox.image.spec import load_lock, load_spec
from sandbox.resources import data_directory
from sandbox.static.baseline import FILE, Baseline, Baselines, find_baseline, load_baselines

IMAGES, DEVICES = data_directory("images"), data_directory("device_specs")
CHOICES = sorted(
    {(os.image, os.page_size_bytes) for name in available_devices(DEVICES) for os in load_device(name, DEVICES).os}
)
ONE = Baseline(
    runtime="onnxruntime", version="1.2", page_size_bytes=4096, imported_bytes=5 << 20, smallest_model_bytes=6 << 20
)
ALL = Baselines(lock="a", runtimes=(ONE,))


@pytest.mark.parametrize(("image", "pages"), CHOICES)
def test_every_device_can_be_checked(image: str, pages: int) -> None:
    baselines, lock = load_baselines(image, IMAGES), load_lock(image, IMAGES)
    for runtime in load_spec(image, IMAGES).runtimes:
        found = find_baseline(
            baselines, runtime=runtime.name, version=runtime.version, page_size_bytes=pages, lock=lock.digest
        )
        assert isinstance(found, Baseline), f"{found}: python -m tests.record_baselines {image}"
        assert 10 << 20 < found.imported_bytes < found.smallest_model_bytes < 200 << 20


def test_only_the_very_build_counts() -> None:
    assert find_baseline(ALL, runtime="onnxruntime", version="1.2", page_size_bytes=4096, lock="a") is ONE
    for runtime, version, pages, lock in (
        ("onnxruntime", "1.3", 4096, "a"),
        ("onnxruntime", "1.2", 16384, "a"),
        ("tflite-runtime", "1.2", 4096, "a"),
        ("onnxruntime", "1.2", 4096, "b"),
    ):
        found = find_baseline(ALL, runtime=runtime, version=version, page_size_bytes=pages, lock=lock)
        assert isinstance(found, str)
        assert "no emulated run has measured" in found


def test_files(tmp_path: Path) -> None:
    assert load_baselines("mine", tmp_path) is None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FILE).write_text(ALL.model_dump_json())
    assert load_baselines("mine", tmp_path) == ALL
    (tmp_path / "mine" / FILE).write_text('{"lock": 3}')
    with pytest.raises(DataFileError, match="lock") as caught:
        load_baselines("mine", tmp_path)
    assert caught.value.hint == "make it again: python -m tests.record_baselines"
