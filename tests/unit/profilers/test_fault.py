"""What a guest says of the instruction that it died of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import rundir
from sandbox.engines.base import FAULT
from sandbox.profilers.fault import describe_fault, read_fault

MAPS = "5500000000-5500010000 r--p 00002000 fd:00 7      /opt/lib/libkernels.so\n"


def test_a_record(tmp_path: Path) -> None:
    found = read_fault(f"a64 0000005500000010 01fc030f76a8c33d\n{MAPS}", tmp_path)
    assert found is not None
    assert found.instruction == "fmov v1.4h, #0.50000000"
    assert (found.encoding, found.needs, found.trap) == ("0f03fc01", "asimdhp", False)
    assert (found.address, found.file, found.offset) == ("0x5500000010", "libkernels.so", "0x2010")
    assert found.function is None


def test_code_of_no_file(tmp_path: Path) -> None:
    found = read_fault("a32 00010000 10f130e7\n", tmp_path)
    assert found is not None
    assert (found.file, found.offset, found.needs) == ("unknown", None, "idiva")


@pytest.mark.parametrize(
    "text", ["", "\n", "a64", "a64 5500000010 01", "a65 0000005500000010 01fc030f", "a64 zz 01fc030f", "a64 1 01fc030f"]
)
def test_what_is_no_record(text: str, tmp_path: Path) -> None:
    assert read_fault(text, tmp_path) is None


@given(st.text(max_size=80), st.text(max_size=200))
def test_any_text_is_survived(first: str, maps: str) -> None:
    read_fault(f"{first}\n{maps}", Path("/nonexistent"))
    read_fault(f"a64 0000005500000010 01fc030f76a8c33d\n{maps}", Path("/nonexistent"))


def test_it_is_kept_beside_the_record(tmp_path: Path) -> None:
    (tmp_path / FAULT).write_text(f"a64 0000005500000010 01fc030f76a8c33d\n{MAPS}")
    describe_fault(tmp_path, tmp_path)
    kept = rundir.read_fault(tmp_path)
    assert kept is not None
    assert kept == read_fault((tmp_path / FAULT).read_text(), tmp_path)


def test_nothing_is_written_without_a_record(tmp_path: Path) -> None:
    (tmp_path / FAULT).symlink_to("/etc/passwd")  # the guest owns the folder
    describe_fault(tmp_path, tmp_path)
    assert not (tmp_path / rundir.ILLEGAL_INSTRUCTION).exists()


@pytest.mark.parametrize("document", ["", "{}", "[]", json.dumps({"instruction": "nop"})])
def test_a_file_that_the_guest_wrote_in_its_place(document: str, tmp_path: Path) -> None:
    (tmp_path / rundir.ILLEGAL_INSTRUCTION).write_text(document)
    assert rundir.read_fault(tmp_path) is None
