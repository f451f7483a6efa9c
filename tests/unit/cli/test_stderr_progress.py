"""Progress on stderr: silent for what is soon done, then a line that lives, or two that stay."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable

import pytest

from sandbox.cli import stderr_progress
from sandbox.cli.stderr_progress import StderrProgress

PATIENCE = 10.0


class Terminal:
    """A stderr that is a terminal or not, and that can be waited on."""

    encoding = "utf-8"

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._changed = threading.Condition()
        self.text = ""

    def isatty(self) -> bool:
        return self._live

    def write(self, text: str) -> int:
        with self._changed:
            self.text += text
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        pass

    def wait_for(self, condition: Callable[[str], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.text), PATIENCE), f"only {self.text!r} was written"


def stderr(monkeypatch: pytest.MonkeyPatch, *, live: bool, quiet_seconds: float = 0.0) -> Terminal:
    terminal = Terminal(live=live)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(stderr_progress, "_QUIET_SECONDS", quiet_seconds)
    return terminal


@pytest.mark.parametrize("live", [True, False])
def test_a_short_task_says_nothing(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    terminal = stderr(monkeypatch, live=live, quiet_seconds=600)
    started = time.monotonic()
    with StderrProgress().task("working", total=2) as advance:
        advance(2)
    assert terminal.text == ""
    assert time.monotonic() - started < 60, "and is not waited for"


def test_two_seconds_are_short() -> None:
    assert stderr_progress._QUIET_SECONDS == 2.0


def test_in_a_log_a_long_task_has_a_line_at_each_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, live=False)
    with StderrProgress().task("building", total=4) as advance:
        terminal.wait_for(lambda text: text.endswith("\n"))
        assert terminal.text == "building …\n"
        advance(1)
    assert re.fullmatch(r"building …\nbuilding: \d+ s\n", terminal.text)


def test_what_such_work_took_before_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, live=False)
    with StderrProgress().task("running", expected_seconds=42):
        terminal.wait_for(lambda text: text == "running … (about 42.0 s)\n")


def test_on_a_terminal_the_line_lives_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, live=True)
    with StderrProgress().task("running [red]", total=4, expected_seconds=100) as advance:
        terminal.wait_for(lambda text: "0%, 0 s of about 100 s" in text)
        advance(1)
        terminal.wait_for(lambda text: "25%, " in text)
        advance(3)
        terminal.wait_for(lambda text: "100%, " in text)
    assert "running [red]" in terminal.text, "a name is no markup"
    assert terminal.text.endswith("\x1b[2K\x1b[?25h\r"), "the line is wiped at last, and the cursor is back"


def test_tasks_side_by_side_have_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, live=True)
    progress = StderrProgress()
    with progress.task("one"), progress.task("two"):
        terminal.wait_for(lambda text: re.search("one [^\n]*\n[^\n]*two ", text) is not None)
    terminal.text = ""
    with progress.task("three"):
        terminal.wait_for(lambda text: "three" in text)
    assert "one" not in terminal.text


def test_without_a_total_there_is_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, live=True)
    with StderrProgress().task("waiting"):
        terminal.wait_for(lambda text: " 0 s" in text)
    assert "%" not in terminal.text


@pytest.mark.parametrize("live", [True, False])
def test_an_error_in_the_task_passes_and_ends_the_line(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    terminal = stderr(monkeypatch, live=live)
    before = threading.active_count()

    def fail() -> None:
        with StderrProgress().task("failing"):
            terminal.wait_for(lambda text: "failing" in text)
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert threading.active_count() == before
    assert terminal.text.endswith("\x1b[2K\x1b[?25h\r" if live else " s\n")


def test_a_warning_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = stderr(monkeypatch, live=False, quiet_seconds=600)
    StderrProgress().warn("little space is left")
    assert terminal.text == "warning: little space is left\n"


@pytest.mark.parametrize("live", [True, False])
def test_a_model_s_name_moves_no_cursor(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    terminal = stderr(monkeypatch, live=live)
    progress = StderrProgress()
    with progress.task("running a\x1b[31m\x07"):
        terminal.wait_for(lambda text: "running a" in text)
    progress.warn("no b\x1b[31m")
    assert "\x1b[31m" not in terminal.text
    assert "\x07" not in terminal.text
    assert "warning: no b\\x1b[31m\n" in terminal.text
