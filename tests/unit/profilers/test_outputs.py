"""Reading arrays that a guest wrote, whole, damaged and hostile."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.profilers.outputs import read_arrays


def stored(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_arrays_in_their_order(tmp_path: Path) -> None:
    one, other = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 2), np.float32)
    path = stored(
        tmp_path / "outputs.npz", {"b.npy": npy(one), "a.npy": npy(other), "f.npy": npy(np.asfortranarray(one))}
    )
    (first, second, third) = read_arrays(path)
    assert (first[0], second[0]) == ("b", "a")
    assert np.array_equal(first[1], one)
    assert second[1].shape == (0, 2)
    assert np.array_equal(third[1], one)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    good = npy(np.zeros(4, np.float32))
    lying = good.replace(b"(4,)", b"(9,)")
    cases = {
        "missing": None,
        "text": b"not a zip",
        "whole": stored(tmp_path / "w", {"a.npy": lying}).read_bytes(),
        "packed": stored(tmp_path / "p", {"a.npy": good}, zipfile.ZIP_DEFLATED).read_bytes(),
        "empty": stored(tmp_path / "e", {"a.npy": b""}).read_bytes(),
        "objects": stored(tmp_path / "o", {"a.npy": good.replace(b"'<f4'", b"'|O' ")}).read_bytes(),
    }
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=r"\w"):
            read_arrays(path)


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    real = stored(tmp_path / "real", {"a.npy": npy(np.zeros(4, np.float32))})
    (tmp_path / "link").symlink_to(real)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(ValueError, match="outputs"):
            read_arrays(tmp_path / name)


@given(st.binary(max_size=300), st.integers(0, 120))
def test_any_damage_is_a_value_error(tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = stored(folder / "outputs.npz", {"a.npy": npy(np.zeros(4, np.float32))})
    content = path.read_bytes()
    path.write_bytes(content[:place] + junk + content[place + len(junk) :])
    with contextlib.suppress(ValueError):
        read_arrays(path)
