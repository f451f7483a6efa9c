"""How an expected error ends the command: a line, a next step, its exit code, and nothing that a name could do."""

from __future__ import annotations

import logging
import signal
from typing import NoReturn

import pytest

from sandbox.cli import main
from sandbox.errors import DataFileError, HostError, RunError, SandboxError, UsageError


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("x"), 2), (DataFileError("x"), 3), (HostError("x"), 4), (RunError("x"), 5)]
)
def test_each_kind_has_its_exit_code(
    error: SandboxError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(error, monkeypatch) == code
    assert capsys.readouterr().err == "edge-sandbox: x\n"


def test_control_characters_of_a_guest_are_shown_not_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end(UsageError("cannot be fed: \x1b[2Jü\r\x9b1m", hint="see --input\x07"), monkeypatch)
    assert capsys.readouterr().err == "edge-sandbox: cannot be fed: \\x1b[2Jü\\x0d\\x9b1m\n  next: see --input\\x07\n"


def test_logged_command_lines_neither() -> None:
    record = logging.LogRecord("sandbox.process", logging.DEBUG, "", 0, "$ %s", ("run a\x1b[2J.tflite",), None)
    assert main._handler().format(record) == "sandbox.process: $ run a\\x1b[2J.tflite"


def end(error: SandboxError, monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of a command that raises this."""

    def fail(*, standalone_mode: bool) -> NoReturn:  # noqa: ARG001  # what Typer is called with
        raise error

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr(signal, "signal", lambda _number, _handler: None)
    with pytest.raises(SystemExit) as caught:
        main.main()
    return caught.value.code
