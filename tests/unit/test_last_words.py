"""The error that a Python traceback ends in, from stderr as programs really leave it."""

from __future__ import annotations

import traceback

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.last_words import last_raised

FRAMES = 'Traceback (most recent call last):\n  File "/edge/guest/runner.py", line 117, in <module>\n    main()\n'
CHAIN = "\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (f"{FRAMES}MemoryError\n", ("MemoryError", "MemoryError")),
        (f"INFO: a log\n{FRAMES}    ~~~~^^\nMemoryError: std::bad_alloc\n", ("MemoryError", "std::bad_alloc")),
        (f"{FRAMES}OSError: [Errno 12] Cannot allocate memory", ("OSError", "[Errno 12] Cannot allocate memory")),
        (f"{FRAMES}a.b_c.Fail: one\ntwo: three\n", ("Fail", "one\ntwo: three")),
        (f"{FRAMES}MemoryError\n{CHAIN}{FRAMES}OSError: disk full\n", ("OSError", "disk full")),
        (f"{FRAMES}OSError: disk full\n{CHAIN}{FRAMES}MemoryError\n", ("MemoryError", "MemoryError")),
        ("MemoryError during load: a line of the runner's\n", None),
        (FRAMES, None),
        (f"{FRAMES}no name of a class\n", None),
        ("", None),
    ],
)
def test_the_last_error(stderr: str, expected: tuple[str, str] | None) -> None:
    assert last_raised(stderr) == expected


def test_what_numpy_really_says() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, dtype="uint8")
    text = "".join(traceback.format_exception(caught.value))
    assert last_raised(text) == ("MemoryError", str(caught.value))


def test_millions_of_lines_before_it_change_nothing() -> None:
    assert last_raised("noise\n" * 1_000_000 + FRAMES + "MemoryError\n") == ("MemoryError", "MemoryError")


@given(st.text())
@example(FRAMES + "\n \n")
@example(FRAMES + "ä: \0")
def test_any_text(stderr: str) -> None:
    found = last_raised(FRAMES + stderr)
    assert found is None or all(found)
