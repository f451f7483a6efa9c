"""The model's results on disk: an npz with the same bytes for the same results, and a digest of each output."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from backend import Output

#: The earliest date a zip can hold: the archive does not tell when it was made.
EPOCH = (1980, 1, 1, 0, 0, 0)


def described(output: Output) -> dict[str, Any]:
    """Name, type, shape and digest (SHA-256 of the C-ordered bytes) of one output."""
    array = _plain(output.value)
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    dtype = "string" if array.dtype.kind in "SU" else array.dtype.name
    return {"name": output.name, "dtype": dtype, "shape": list(array.shape), "sha256": digest}


def write_npz(path: Path, outputs: Sequence[Output]) -> None:
    """All outputs by name. Written member by member: ``numpy.savez`` stamps the time and refuses the name "file"."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for output in outputs:
            member = zipfile.ZipInfo(f"{output.name}.npy", date_time=EPOCH)
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _plain(output.value), allow_pickle=False)


def _plain(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Strings come as objects, which an npz without pickles cannot hold."""
    return value.astype(str) if value.dtype.kind == "O" else value
