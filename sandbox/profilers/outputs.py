"""Arrays that a guest wrote: ``outputs.npz``, read without trusting it."""

from __future__ import annotations

import io
import math
import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUTPUTS = "outputs.npz"
_LARGEST_BYTES = 2 << 30
"""Of all arrays of a run together: they are held in memory."""


def read_arrays(path: Path) -> tuple[tuple[str, NDArray[Any]], ...]:
    """(name, array) in the order in which they were written. Raises `ValueError` for what is no such file.

    The guest owns the folder: links and pipes are not followed, nothing is unpacked, and no array is made larger than
    the bytes that are there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123  # pathlib opens no descriptors
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_BYTES:
                raise ValueError(f"outputs of more than {_LARGEST_BYTES} bytes are not compared")
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                total = sum(member.file_size for member in members)
                if total > status.st_size or any(m.compress_type != zipfile.ZIP_STORED for m in members):
                    raise ValueError("the file of outputs is not one that the runner writes")
                return tuple((m.filename.removesuffix(".npy"), _array(archive.read(m))) for m in members)
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, TypeError, SyntaxError) as error:
        raise ValueError(f"the outputs cannot be read: {error}") from error


def _array(content: bytes) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415
    from numpy.lib import format as npy  # noqa: PLC0415

    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError(f"an array of format {version}")
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject or any(size < 0 for size in shape):
        raise ValueError("an array of objects")
    count = math.prod(shape)
    if count * dtype.itemsize > len(content) - stream.tell():
        raise ValueError("an array that is not whole")
    values = np.frombuffer(content, dtype, count=count, offset=stream.tell()) if count else np.empty(0, dtype)
    return values.reshape(shape, order="F" if fortran else "C")
