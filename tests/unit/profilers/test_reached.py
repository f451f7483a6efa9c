"""The plugin's list of cryptographic instructions → which features ran, and in which file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import rundir
from sandbox.engines.base import COUNTS
from sandbox.profilers.reached import note_reached, reached_code

MAPS = "400000-500000 r-xp 00000000 08:01 7 /opt/x-1/x.so\n"
AESE, SHA256H, CRC32 = 0x4E284841, 0x5E024020, 0x1AC14000


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / COUNTS).mkdir()
    (tmp_path / rundir.MAPS).write_text(MAPS)
    return tmp_path


def write(job: Path, text: str, name: str = "2.crypto") -> None:
    (job / COUNTS / name).write_text(text)


def test_each_feature_once_in_each_file(job: Path) -> None:
    lines = [(0x400010, AESE), (0x400020, AESE), (0x400030, CRC32), (0x900000, SHA256H)]
    write(job, "".join(f"{address:x} {word:08x}\n" for address, word in lines))
    note_reached(job, job)
    found = rundir.read_reached(job)
    assert found is not None
    assert [(each.feature, each.path, each.address) for each in found] == [
        ("aes", "/opt/x-1/x.so", 0x400010),
        ("sha2", "unknown", 0x900000),
    ]
    assert found[0].instruction.startswith("aese")
    assert found == reached_code(job, job)


def test_nothing_ran_is_not_nothing_known(job: Path) -> None:
    assert reached_code(job, job) is None
    note_reached(job, job)
    assert rundir.read_reached(job) is None
    write(job, "")
    assert reached_code(job, job) == ()


def test_what_the_guest_wrote_is_no_error(job: Path) -> None:
    write(job, f"nonsense\n400010 {AESE:08x}\n-1 {AESE:08x}\n400010 {AESE:08x}f\n\udcff\n".replace("\udcff", "ÿ"))
    assert [each.feature for each in reached_code(job, job) or ()] == ["aes"]
    (job / COUNTS / "3.crypto").symlink_to("/etc/passwd")
    assert reached_code(job, job) is None
    (job / rundir.REACHED).write_text("[{}]")
    assert rundir.read_reached(job) is None


def test_without_a_map_the_file_is_unknown(job: Path) -> None:
    (job / rundir.MAPS).unlink()
    write(job, f"400010 {AESE:08x}\n")
    assert [each.path for each in reached_code(job, job) or ()] == ["unknown"]
