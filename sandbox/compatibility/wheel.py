"""Reads a wheel file without installing it: its metadata and its ELF files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from sandbox.errors import DataFileError

from .elf import libraries, read_library
from .facts import BuildFacts

_HINT = "remove the file from the cache; the next build downloads it again"


def read_wheel(path: Path, *, filename: str, runtime: str, version: str, recorded: str) -> BuildFacts:
    """The facts of the wheel at ``path``. Raises `DataFileError` for a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(prefix="edge-sandbox-wheel-") as scratch:
            metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            headers = HeaderParser().parsestr(archive.read(metadata).decode(errors="replace"))
            for number, member in enumerate(archive.infolist()):
                if ".so" not in Path(member.filename).name or member.is_dir():
                    continue
                # a folder of its own for each keeps names that lead elsewhere out of the host's files
                folder = Path(scratch) / str(number)
                folder.mkdir()
                with archive.open(member) as source, (folder / Path(member.filename).name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            members = archive.infolist()
            found = [
                read_library(file, members[int(file.parent.name)].filename)
                for file in sorted(libraries(Path(scratch)), key=lambda file: members[int(file.parent.name)].filename)
            ]
    except (zipfile.BadZipFile, OSError, StopIteration, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataFileError(f"{path}: not a whole wheel: {error or 'no METADATA'}", hint=_HINT) from error
    return BuildFacts(
        runtime=runtime,
        version=version,
        wheel=filename,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        recorded=recorded,
        requires=tuple(str(value) for value in headers.get_all("Requires-Dist", [])),
        libraries=tuple(found),
    )
