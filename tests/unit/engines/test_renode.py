"""The Renode engine against recorded logs, and against a renode that goes wrong in each way that was seen."""

from __future__ import annotations

import dataclasses
import io
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox.engines.base import Cancelled
from sandbox.engines.guard import Guard
from sandbox.engines.renode import RenodeEngine
from sandbox.engines.renode_script import LAST_WORD, RESULT, guards, platform, read_log, script
from sandbox.errors import RunError
from sandbox.microcontroller.elf import Firmware, Section, Segment, Symbol
from sandbox.microcontroller.findings import findings
from sandbox.microcontroller.firmware import memory_spans, ram_spans
from sandbox.microcontroller.job import FirmwareJob
from tests.firmware.boards import RENODE, board

RECORDED = Path(__file__).parents[2] / "data" / "renode"
FAKE = Path(__file__).parents[2] / "programs" / "fake_renode.py"
SEMIHOSTING = bytes.fromhex("abbe")


def program(path: Path) -> Firmware:
    """A program as the engine sees it; what is in it nobody runs here."""
    code = bytes(64) + SEMIHOSTING + bytes(62)
    return Firmware(
        path=path,
        sha256="0" * 64,
        size_bytes=128,
        architecture="v7E-M",
        cpu="7E-M",
        float_abi="hard",
        fpu="single",
        vectors=0x0800_0000,
        initial_stack=0x2002_0000,
        reset=0x0800_0040,
        handlers={2: 0x0800_0060, 3: 0x0800_0060, 6: 0x0800_0070},
        sections=(
            Section(
                name=".text", address=0x0800_0000, stored_at=0x0800_0000, size_bytes=128, writable=False, code=True
            ),
        ),
        segments=(Segment(address=0x0800_0000, stored_at=0x0800_0000, data=code, size_bytes=128),),
        symbols=(Symbol(name="main", address=0x0800_0040, size_bytes=32, kind="function"),),
        _starts=(0x0800_0040,),
    )


def job(folder: Path, seconds: float = 5) -> FirmwareJob:
    elf = folder / "an app.elf"
    elf.write_bytes(b"\x7fELF")
    made_up = board()
    run_dir = folder / "run"
    run_dir.mkdir()
    return FirmwareJob(
        firmware=program(elf),
        board=made_up,
        emulation=RENODE,
        run_dir=run_dir,
        timeout_seconds=seconds,
        marks={"begin": 0x0800_0042, "end": 0x0800_0050},
        stop_at=0x0800_0050,
        allowed=memory_spans(made_up),
        painted=ram_spans(made_up),
    )


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.txt").read_text().replace("\nRESULT\n", f"\n{RESULT}\n")


def test_a_recorded_run_that_finishes() -> None:
    log = read_log(recorded("finishes"))
    assert (log.instructions, log.pc) == (0x2DCBA0, 0x80001FC)
    assert (log.error, log.abort, log.strays) == (None, None, ())
    assert log.unmodelled == 5, "the cycle counter, which that platform has not"
    assert not log.finished, "that script does not say our last word"
    assert read_log(recorded("own-platform-cortex-m55")).instructions == 0x2DCBA8


def test_recorded_failures_are_seen_in_spite_of_exit_status_0() -> None:
    assert read_log(recorded("unknown-command")).error == "No such command or device: nonsense"
    assert "LoadPlatformDescription" in str(read_log(recorded("missing-platform-file")).error)
    abort = read_log(recorded("cpu-abort-never-returns"))
    assert abort.abort_pc == 0x70000000
    assert not abort.finished
    assert abort.instructions is None


def test_a_recorded_null_write_is_a_finding() -> None:
    strays = read_log(recorded("null-write-is-only-a-warning")).strays
    assert [(stray.pc, stray.address, stray.store) for stray in strays] == [
        (0x80001FE, 0, True),
        (0x8000202, 0, False),
    ]


def test_the_platform_has_the_boards_sizes_and_asks_nobody(tmp_path: Path) -> None:
    text = platform(job(tmp_path))
    assert 'cpuType: "cortex-m4f"' in text
    assert "Memory.MappedMemory @ sysbus 0x8000000\n    size: 0x100000\n" in text
    assert "Memory.MappedMemory @ sysbus 0x20000000\n    size: 0x20000\n" in text
    assert "PerformanceInMips: 100" in text
    assert "http" not in text
    assert "ApplySVD" not in text


def test_guards_lie_beside_the_ram(tmp_path: Path) -> None:
    assert [(span.start, span.end) for span in guards(job(tmp_path))] == [
        (0x1FFF0000, 0x20000000),
        (0x20020000, 0x20030000),
    ]


def test_the_script_escapes_blanks_and_ends_with_our_last_word(tmp_path: Path) -> None:
    text = script(job(tmp_path), Path("/a b/c"), Path("/a b/c/firmware.elf"))
    assert "sysbus LoadELF @/a\\ b/c/firmware.elf" in text
    assert '@"' not in text
    assert text.index("SetRange") < text.index("LoadELF"), "painting must not cover what the program brings"
    assert "Pause" not in text, "a hook that pauses dead-locks"
    assert text.rstrip().endswith(f'echo "{LAST_WORD}"\nquit')
    assert text.count("cpu AddHook 0x8000060") == 1, "default handlers share an address"


def engine(folder: Path, way: str) -> RenodeEngine:
    wrapper = folder / "renode"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" {way} "$@"\n')
    wrapper.chmod(0o755)
    return RenodeEngine(Guard(io.BytesIO()), str(wrapper))


@pytest.mark.subprocess
def test_versions(tmp_path: Path) -> None:
    assert engine(tmp_path, "good").probe() is None
    for way, words in (("old", "Renode 1.13.2 is too old"), ("no-version", "not a version")):
        problem = engine(tmp_path, way).probe()
        assert problem is not None
        assert words in problem.reason
    absent = RenodeEngine(Guard(io.BytesIO()), str(tmp_path / "nothing")).probe()
    assert absent is not None
    assert "cannot start" in absent.reason


@pytest.mark.subprocess
def test_a_good_run(tmp_path: Path) -> None:
    tried = engine(tmp_path, "good")
    tried.probe()
    run = tried.run(job(tmp_path), threading.Event())
    assert (run.ended, run.passes) == ("stop", (("begin", 1239), ("end", 301242)))
    assert run.emulator == "Renode 1.16.1"
    assert run.ram == {0x2000_0000: b"\xa5" * (128 << 10)}


@pytest.mark.subprocess
def test_a_renode_whose_semihosting_opens_files_goes_without(tmp_path: Path) -> None:
    run = engine(tmp_path, "newer").run(job(tmp_path), threading.Event())
    assert (run.ended, run.passes) == ("stop", (("begin", 1239), ("end", 301242)))
    assert run.differs[-1].startswith("what the program prints by semihosting is not seen")


def test_times_have_no_exponent(tmp_path: Path) -> None:
    made = job(tmp_path)
    for seconds, text in ((0.00005, "0.00005"), (5, "5"), (2.5e6, "2500000")):
        asked = dataclasses.replace(made, timeout_seconds=seconds)
        assert f'emulation RunFor "{text}"' in script(asked, tmp_path, made.firmware.path)


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("unknown-command", "refused a command: No such command"),
        ("missing-platform", "refused a command: There was an error"),
        ("ends-early", "in the middle of its script"),
    ],
)
def test_exit_status_0_is_no_success(tmp_path: Path, way: str, words: str) -> None:
    with pytest.raises(RunError, match=words):
        engine(tmp_path, way).run(job(tmp_path), threading.Event())


@pytest.mark.subprocess
def test_an_abort_is_seen_while_renode_waits_for_ever(tmp_path: Path) -> None:
    tried, made = engine(tmp_path, "abort-never-returns"), job(tmp_path)
    run = tried.run(made, threading.Event())
    assert (run.ended, run.pc) == ("abort", 0x70000000)
    (finding,) = findings(made, run, None, None)
    assert "Trying to execute code outside RAM or ROM at 0x70000000" in finding.text


@pytest.mark.subprocess
def test_a_run_that_never_returns_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.engines.renode._START_SECONDS", 1.0)
    run = engine(tmp_path, "never-returns").run(job(tmp_path, seconds=0.01), threading.Event())
    assert run.ended == "timeout"
    assert run.ram is None


@pytest.mark.subprocess
def test_a_cancelled_run_is_ended(tmp_path: Path) -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        engine(tmp_path, "never-returns").run(job(tmp_path), cancel)
    assert time.monotonic() - started < 60


@pytest.mark.subprocess
def test_a_flood_is_ended(tmp_path: Path) -> None:
    assert engine(tmp_path, "flood").run(job(tmp_path), threading.Event()).ended == "flood"


@pytest.mark.subprocess
def test_findings_of_a_run(tmp_path: Path) -> None:
    for way, words in (
        ("stray", "writes 4 bytes at 0x20050000, where made-up has nothing (7 times)"),
        ("guard", "writes 4 bytes at 0x20020000, where made-up has nothing"),
        ("fault", "HardFault at main+0x8: undefined instruction (UNDEFINSTR)"),
    ):
        folder = tmp_path / way
        folder.mkdir()
        made = job(folder)
        run = engine(folder, way).run(made, threading.Event())
        (finding,) = findings(made, run, None, None)
        assert words in finding.text, way
        if way == "stray":
            assert "1 accesses to peripherals that are not modelled" in run.differs[-1]


@pytest.mark.subprocess
def test_an_exit_by_semihosting(tmp_path: Path) -> None:
    run = engine(tmp_path, "exit").run(job(tmp_path), threading.Event())
    assert (run.ended, run.exit_code) == ("exit", 0)


def test_the_command_line_is_private_and_never_telnet(tmp_path: Path) -> None:
    made = dataclasses.replace(job(tmp_path), timeout_seconds=1)
    argv = RenodeEngine(Guard(io.BytesIO()), "renode").command(made, "name")
    assert {"--console", "--disable-gui", "--plain", "--config"} <= set(argv)
    assert not {"-P", "--port"} & set(argv)
    docker = RenodeEngine(Guard(io.BytesIO()), "docker")
    if words := docker._launcher(made.run_dir, "name"):
        assert words[:5] == ("docker", "run", "--rm", "--network", "none")
