"""Every failure from the field happens again, in the real image, and the verdict says why."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.engines.guard import Guard, guard
from sandbox.known_versions import KNOWN_VERSIONS

from . import CASES, Case, Run, cases, page, read
from .replay import Replayed, on_a_microcontroller, problems, replay

pytestmark = pytest.mark.timeout(600)


def _engine(run: Run) -> str:
    return "native" if on_a_microcontroller(run) else "local"


RUNS = [
    pytest.param(case, run, id=page.key(case, run), marks=pytest.mark.engine(_engine(run)))
    for case in cases()
    for run in case.runs
    if run.command == "profile"
]
CHECKS = [(case, run) for case in cases() for run in case.runs if run.command == "check"]


@pytest.fixture(scope="module")
def protector() -> Iterator[Guard]:
    with guard() as one:
        yield one


@pytest.fixture(scope="module")
def replayed() -> dict[str, Replayed]:
    """What was replayed so far."""
    return {}


@pytest.mark.parametrize(("case", "run"), RUNS)
def test_it_happens_again(
    case: Case, run: Run, protector: Guard, tmp_path: Path, replayed: dict[str, Replayed]
) -> None:
    same = f"{run.command_line} {run.requires} {run.operators}"  # cases share controls
    if same not in replayed:
        replayed[same] = replay(run, tmp_path, protector)
    assert_said(case, run, replayed[same])


@pytest.mark.parametrize(("case", "run"), CHECKS, ids=[page.key(case, run) for case, run in CHECKS])
def test_it_is_foreseen(case: Case, run: Run, tmp_path: Path) -> None:
    """By the files alone: nothing is started."""
    assert_said(case, run, replay(run, tmp_path, Guard(io.BytesIO())))


def assert_said(case: Case, run: Run, found: Replayed) -> None:
    assert not problems(run, found), found.said
    if not run.control:
        shown = page.printed_in(page.PAGE.read_text(encoding="utf-8"))
        # widths of numbers that are left out move the line breaks
        assert found.printed.split() == shown[page.key(case, run)].split(), "python -m tests.field_failures renews it"


def test_the_page_is_made_from_the_cases() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.write(page.printed_in(text)) == text, "python -m tests.field_failures"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_every_case_has_a_failure_and_a_control(case: Case) -> None:
    failing = [run for run in case.runs if not run.control]
    assert failing
    assert all(run.exit_code in {0, 1} and run.check and run.says for run in failing)
    controls = [run for run in case.runs if run.control]
    assert controls
    assert all(run.exit_code == 0 and run.check is None for run in controls)


def test_versions_said_to_work_are_controls_of_a_case() -> None:
    replayed = {run.runtime for case in cases() for run in case.runs if run.control}
    failing = {run.runtime for case in cases() for run in case.runs if not run.control}
    for known in KNOWN_VERSIONS:
        assert f"{known.runtime}@{known.fails}" in failing
        assert {f"{known.runtime}@{version}" for version in known.work} <= replayed


@pytest.mark.parametrize("text", ["", "title = 1", 'title = "a"\nunknown = 1'])
def test_a_bad_case_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "z9_bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="validation error"):
        read(path)


def test_files_are_named_by_their_case() -> None:
    assert {path.name.partition("_")[0].upper() for path in CASES.glob("*.toml")} == {case.id for case in cases()}
    assert len({case.id for case in cases()}) == len(cases())
