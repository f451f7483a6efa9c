"""JSON files of ours: absurd sizes are refused unread, and a write that is interrupted leaves what was there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from sandbox.errors import DataFileError
from sandbox.json_file import read_document, write_whole


class Document(BaseModel):
    number: int


def test_a_huge_file_is_refused_and_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading it whole would end this process
    with pytest.raises(DataFileError, match=r"huge\.json: larger than 64 MiB"):
        read_document(path, Document, "make it again")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="Is a directory"):
        read_document(tmp_path, Document, "make it again")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_whole(tmp_path / "one.json", '{"number": 1}')
    write_whole(tmp_path / "one.json", '{"number": 2}')
    assert read_document(tmp_path / "one.json", Document, "").number == 2
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.json"
    write_whole(path, '{"number": 1}')

    def interrupt(_self: Path, _target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, '{"number": 2}')
    assert [each.name for each in tmp_path.iterdir()] == ["one.json"]
    assert read_document(path, Document, "").number == 1
