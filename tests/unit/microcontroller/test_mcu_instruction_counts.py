"""The file of instructions that published times are laid over: what is shipped, what is refused, how it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import DataFileError
from sandbox.microcontroller.instruction_counts import FILE, Build, Builds, read_builds
from sandbox.microcontroller.latency import FILE as FITS
from sandbox.microcontroller.latency import FitPlan, _work, load_fits
from sandbox.resources import data_directory
from tests.record_tflm_counts import MODELS, write

CALIBRATION = data_directory("calibration")
SHIPPED = read_builds(CALIBRATION)


def build(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "b",
        "core": "cortex-m4",
        "kernels": "cmsis-nn",
        "architecture": "Armv7E-M, hard-float ABI",
        "sources": "s",
        "compiler": "c",
        "library": "library 1",
        "emulator": "e",
        "models": {"m": {"sha256": "0" * 64, "instructions": 10, "operators": [["CONV_2D", 9]]}},
    }
    return {**made, **changes}


def written(folder: Path, *builds: dict[str, Any]) -> Path:
    (folder / FILE).write_text(json.dumps({"schema_version": 1, "builds": builds}))
    return folder


def test_every_build_has_all_models_and_is_used_by_a_calibration() -> None:
    assert SHIPPED.builds
    used = {each.plan.counts for each in load_fits(CALIBRATION)} - {None}
    assert used == {each.id for each in SHIPPED.builds}
    for each in SHIPPED.builds:
        assert each.models.keys() == MODELS.keys()


def test_the_same_model_files_were_counted_with_every_build() -> None:
    digests = [{name: counted.sha256 for name, counted in each.models.items()} for each in SHIPPED.builds]
    assert all(each == digests[0] for each in digests)


@pytest.mark.parametrize("each", SHIPPED.builds, ids=lambda each: each.id)
def test_the_operators_are_nearly_all(each: Build) -> None:
    for counted in each.models.values():
        share = sum(count for _type, count in counted.operators) / counted.instructions
        assert 0.95 < share <= 1, "TFLM's interpreter itself does little"


def test_a_folder_without_the_file_has_none(tmp_path: Path) -> None:
    assert read_builds(tmp_path) == Builds()


@pytest.mark.parametrize(
    ("builds", "words"),
    [
        ([build(), build()], "twice"),
        ([build(core="cortex-a53")], "core"),
        ([build(surprise=1)], "surprise"),
        ([build(models={"m": {"sha256": "0" * 64, "instructions": 0, "operators": []}})], "instructions"),
        ([build(models={"m": {"sha256": "0" * 64, "instructions": 8, "operators": [["A", 9]]}})], "more instructions"),
        ([build(models={"m": {"sha256": "x", "instructions": 8, "operators": []}})], "sha256"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, builds: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(DataFileError, match=words) as caught:
        read_builds(written(tmp_path, *builds))
    assert FILE in caught.value.message


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode), st.just(b"[" * 5000)))
def test_no_content_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("counts")
    (folder / FILE).write_bytes(content)
    with pytest.raises(DataFileError):
        read_builds(folder)


def test_a_calibration_names_a_build_of_its_own_core_and_kernels(tmp_path: Path) -> None:
    plan = FitPlan.model_validate(
        {
            "id": "x",
            "core": "cortex-m4",
            "soc": "S",
            "clock_hz": 10**8,
            "kernels": "cmsis-nn",
            "tflm": "1",
            "counts": "b",
            "where": {},
        }
    )
    assert _work(plan, {}, read_builds(written(tmp_path, build()))) == {"m": 10.0}
    for other in (build(id="c"), build(core="cortex-m7"), build(kernels="reference")):
        with pytest.raises(DataFileError, match="no counts b of a cortex-m4 with cmsis-nn kernels") as caught:
            _work(plan, {}, read_builds(written(tmp_path, other)))
        assert FITS in caught.value.message


def test_a_build_takes_the_place_of_the_one_with_its_id(tmp_path: Path) -> None:
    write(tmp_path, Build.model_validate(build(id="b2")))
    write(tmp_path, Build.model_validate(build()))
    write(tmp_path, Build.model_validate(build(sources="other")))
    found = read_builds(tmp_path).builds
    assert [(each.id, each.sources) for each in found] == [("b", "other"), ("b2", "s")]
    assert '["CONV_2D", 9]' in (tmp_path / FILE).read_text(), "an operator a line"
