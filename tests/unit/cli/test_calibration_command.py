"""``edge-sandbox calibration``: what its commands print, and how they refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox.calibration import load_calibrations
from sandbox.cli.main import app
from sandbox.errors import DataFileError, UsageError
from sandbox.microcontroller.latency import MicrocontrollerCalibration, load_fits
from tests.unit.test_measurement import measurement

FOLDER = Path(__file__).parents[3] / "calibration"


def output(*words: str) -> str:
    done = CliRunner().invoke(app, ["calibration", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_list_names_every_calibration() -> None:
    lines = output("list").splitlines()
    known = [each.id for each in load_calibrations(FOLDER)] + [each.plan.id for each in load_fits(FOLDER)]
    assert [line.split()[0] for line in lines] == known


@pytest.mark.parametrize("each", load_fits(FOLDER), ids=lambda each: each.plan.id)
def test_show_a_microcontroller_s(each: MicrocontrollerCalibration) -> None:
    shown = output("show", each.plan.id)
    assert shown.startswith(f"{each.plan.id}: {each.plan.core}")
    for words in ("cycles a multiply-accumulate", "90 % interval", "left-out models", "source: "):
        assert words in shown


@pytest.mark.parametrize("each", load_calibrations(FOLDER), ids=lambda each: each.id)
def test_show_says_where_the_numbers_come_from(each: object) -> None:
    name = str(getattr(each, "id", ""))
    shown = output("show", name)
    assert shown.startswith(f"{name}: ")
    assert "90 % interval: ±" in shown
    assert "source: " in shown


def test_show_says_what_the_interval_covers_by_the_others_width() -> None:
    shown = output("show", "aws-graviton2/tflite-runtime-2.14.0-xnnpack-fp32-1t")
    assert "of the rows of left-out families" in shown
    assert "with a width from the other families alone it covers" in shown


def test_errors_prints_both_tables_of_the_page() -> None:
    page = (FOLDER.parent / "docs" / "calibration.md").read_text(encoding="utf-8")
    tables = output("errors").rstrip("\n").split("\n\n")
    assert [table.partition(",")[0].split(" |")[0] for table in tables] == ["| calibration", "| transfer"]
    assert all(table in page for table in tables)


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown calibration 'fast'"):
        output("show", "fast")


def test_unknown_counts_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown counts 'all'"):
        output("count", "all")


def test_check_finds_a_changed_number(tmp_path: Path) -> None:
    folder = tmp_path / "calibration"
    shutil.copytree(FOLDER, folder)
    path = folder / f"{load_calibrations(FOLDER)[0].id}.json"
    document = json.loads(path.read_text())
    document["cycles_per_slot"] *= 1.01
    path.write_text(json.dumps(document))
    with pytest.raises(DataFileError, match="differs in cycles_per_slot") as caught:
        output("check", "--directory", str(folder))
    assert caught.value.exit_code == 3


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dtype fp64"):
        output("measure", str(tmp_path / "mine.json"), "--device", "rpi4b", "--dtype", "fp64")


def test_a_fit_of_one_s_own_is_not_written_over_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not written over the shipped ones") as caught:
        output("fit", str(tmp_path / "mine.json"), "--device", "rpi4b")
    assert caught.value.hint == "name a folder: --output DIR"


def test_a_device_without_a_measured_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--device is of a measured board's file"):
        output("fit", "--device", "rpi4b", "--output", str(tmp_path))
    assert not any(tmp_path.iterdir())


def test_a_measured_file_without_models_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(measurement().model_copy(update={"timings": ()}).model_dump_json())
    with pytest.raises(DataFileError, match=r"mine\.json: nothing was timed"):
        output("fit", str(path), "--output", str(tmp_path / "made"))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("command", ["list", "errors", "check", "fit"])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, command: str) -> None:
    with pytest.raises(UsageError, match=r"--directory .*nothing is no folder"):
        output(command, "--directory", str(tmp_path / "nothing"))


@pytest.mark.parametrize("name", [".", "missing/mine.json"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        output("measure", str(tmp_path / name), "--device", "rpi4b")
