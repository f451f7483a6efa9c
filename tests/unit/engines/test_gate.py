"""The pipe at which the guest waits: reached once, passed once, and no way out of the run folder."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sandbox.engines.gate import GATE, gate
from tests.unit.guest.guest_modules import load

phases = load("phases")


def test_the_guest_waits_until_it_is_let_pass(tmp_path: Path) -> None:
    with gate(tmp_path) as one:
        assert not one.is_reached(), "nobody is there yet"
        guest = threading.Thread(target=phases.wait_for_last_reading, args=(tmp_path,))
        guest.start()
        while not one.is_reached():
            pass
        assert guest.is_alive()
        assert not one.is_reached(), "it is reached once"
        one.let_pass()
        guest.join(10)
        assert not guest.is_alive()
        assert not one.is_reached()
    assert not (tmp_path / GATE).exists()


def test_a_guest_that_waits_when_the_run_is_stopped(tmp_path: Path) -> None:
    with gate(tmp_path) as one:
        guest = threading.Thread(target=phases.wait_for_last_reading, args=(tmp_path,))
        guest.start()
        while not one.is_reached():
            pass
    guest.join(10)
    assert not guest.is_alive()


def test_no_gate_is_no_wait(tmp_path: Path) -> None:
    phases.wait_for_last_reading(tmp_path)
    (tmp_path / GATE).write_text("no pipe")
    phases.wait_for_last_reading(tmp_path)
    assert phases.GATE == GATE


@pytest.mark.parametrize("kind", ["file", "link", "folder", "nothing"])
def test_whatever_the_guest_puts_there(kind: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("of the host")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with gate(run_dir) as one:
        (run_dir / GATE).unlink()
        if kind == "file":
            (run_dir / GATE).write_text("x")
        elif kind == "link":
            (run_dir / GATE).symlink_to(elsewhere)
        elif kind == "folder":
            (run_dir / GATE).mkdir()
        assert not one.is_reached()
    assert elsewhere.read_text() == "of the host"


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with gate(tmp_path) as one:
        reader = os.open(tmp_path / GATE, os.O_RDONLY | os.O_NONBLOCK)
        assert one.is_reached()
        os.close(reader)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
