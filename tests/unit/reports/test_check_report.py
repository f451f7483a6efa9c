"""The report of a static check: to the letter, and harmless whatever a model calls its operators."""

from __future__ import annotations

from sandbox.metrics import Unavailable
from sandbox.reports import check_terminal
from tests import renew


def test_to_the_letter() -> None:
    assert check_terminal.render(renew.example_check()) == renew.CHECK_REPORT.read_text(encoding="utf-8"), (
        "run python -m tests.renew"
    )


def test_names_cannot_move_the_cursor() -> None:
    result = renew.example_check()
    assert result.memory.peak_operator is not None
    nasty = result.memory.peak_operator.model_copy(update={"name": "\x1b[2J\nevil"})
    memory = result.memory.model_copy(update={"peak_operator": nasty})
    text = check_terminal.render(result.model_copy(update={"memory": memory}))
    assert "\x1b" not in text
    assert r"\x1b[2J\x0aevil" in text


def test_what_is_unknown_says_why() -> None:
    result = renew.example_check()
    nothing = Unavailable(unavailable="nobody measured it")
    memory = result.memory.model_copy(update={"peak": nothing, "peak_margin": nothing})
    text = check_terminal.render(result.model_copy(update={"memory": memory}))
    assert "peak       unavailable, because nobody measured it" in text
    assert "more than the next" not in text


def test_colours_only_when_asked() -> None:
    result = renew.example_check()
    assert "\x1b[" not in check_terminal.render(result)
    assert "\x1b[" in check_terminal.render(result, colour=True)
