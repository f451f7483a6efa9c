"""Marks in the counts: a system call that only the plugin knows, and no call at all where nothing is counted."""

from __future__ import annotations

import ctypes
import errno
import re
import sys
from typing import Any

import pytest

from sandbox import process
from sandbox.image.emulator import host_architecture
from sandbox.resources import data_directory
from tests.unit.guest.guest_modules import GUEST, load

marks = load("marks")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """System calls that are made, in order."""
    made: list[tuple[int, ...]] = []

    class Library:
        @staticmethod
        def syscall(*arguments: Any) -> int:
            made.append(tuple(getattr(argument, "value", argument) for argument in arguments))
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library)
    return made


def test_an_inference_is_between_a_reset_and_a_mark(calls: list[tuple[int, ...]]) -> None:
    counted = marks.Marks(counted=True)
    for _inference in range(2):
        counted.reset()
        counted.inference_ends()
    assert calls == [(60782, 2), (60782, 3, 0x7FFFFFFF)] * 2


def test_where_nothing_is_counted_nothing_is_called(calls: list[tuple[int, ...]]) -> None:
    plain = marks.Marks(counted=False)
    plain.reset()
    plain.inference_ends()
    assert calls == []


def test_the_inference_s_mark_is_no_operator_s() -> None:
    """These count events from 0, in 32 bits; as a signed number it is the largest of a 32-bit guest's."""
    assert marks.INFERENCE == 2**31 - 1


def test_without_the_plugin_the_call_is_an_error_that_nobody_looks_at() -> None:
    counted = marks.Marks(counted=True)
    counted.reset()
    counted.inference_ends()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(marks.SYSTEM_CALL, marks.RESET) == -1
    assert ctypes.get_errno() == errno.ENOSYS


RECORD = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
from marks import record_clocks
for on in (True, False):
    record_clocks(sys.argv[2], on=on)
    print(ctypes.c_int.in_dll(ctypes.CDLL(sys.argv[2]), "edge_recording").value)
"""


@pytest.mark.subprocess
def test_clocks_leave_marks_while_they_are_told_to() -> None:
    library = data_directory("native") / f"clock-{host_architecture()}.so"
    done = process.run((sys.executable, "-c", RECORD, str(GUEST), str(library)), timeout=60)
    assert re.findall(r"[0-9]+", done.stdout) == ["1", "0"], done.stderr
