"""Reads a device's TOML file and those it builds on. What the keys mean is `device`'s business."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import DataFileError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]


MICROCONTROLLER = "microcontroller"
"""What the top-level key ``kind`` says in the spec of a board without Linux; the others have no such key."""


def spec_ids(directory: Path, kind: str | None = None) -> tuple[str, ...]:
    """The ids of the specs of that kind in ``directory``, sorted."""
    return tuple(sorted(path.stem for path in directory.glob("*.toml") if kind_of(path, directory) == kind))


def kind_of(path: Path, directory: Path) -> str | None:
    """What a spec's ``kind`` says, or None: also where the file cannot be read, which its reader will say."""
    try:
        kind = read_spec(path, directory).get("kind")
    except DataFileError:
        return None
    return kind if isinstance(kind, str) else None


def locate_spec(id_or_path: str, directory: Path) -> Path:
    """The spec of that id in ``directory``, or that ``.toml`` file. Raises `UsageError` for an unknown id."""
    path = Path(id_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return path
    known = _stems(directory)
    if id_or_path not in known:
        near = difflib.get_close_matches(id_or_path, known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"{directory} holds {', '.join(known) or 'no spec'}."
        raise UsageError(f"unknown device {id_or_path!r}", hint=f"{hint} A path to a .toml file works too.")
    return directory / f"{id_or_path}.toml"


def _stems(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in directory.glob("*.toml")))


def read_spec(path: Path, directory: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The table in that file, laid over the one that its ``base`` names, in its own folder or ``directory``.

    ``below``: the files that are being read already. Raises `DataFileError`.
    """
    table = _read(path)
    if path.resolve() in below:
        circle = " → ".join(p.stem for p in (*below, path))
        raise DataFileError(f"{below[0]}: base: {circle} goes round in a circle", hint="take one base line out")
    if "base" not in table:
        return table
    base = table.pop("base")
    known = {folder: _stems(folder) for folder in (path.parent, directory)}
    candidates = [folder / f"{base}.toml" for folder, ids in known.items() if base in ids]
    # A user's own rpi4b.toml may build on the shipped rpi4b, so a file is not its own base where another has the name.
    candidates.sort(key=lambda file: file.resolve() == path.resolve())
    if not candidates:
        ids = sorted({name for names in known.values() for name in names} - {path.stem})
        near = difflib.get_close_matches(str(base), ids, n=1) or ids
        raise DataFileError(f"{path}: base: no device spec named {base!r}", hint=f"name one of: {', '.join(near)}")
    inherited = read_spec(candidates[0], directory, (*below, path.resolve()))
    inherited.pop("price", None)  # another board has another
    sources = inherited.get("sources")
    if isinstance(sources, dict):
        # A source vouches for the value it came with: where the value is overridden, a new one is due.
        given = {"price", *_dotted(table)}
        inherited["sources"] = {k: v for k, v in sources.items() if k not in given and k.partition(".")[0] not in given}
    return _merge(inherited, table)


def _read(path: Path) -> dict[str, Any]:
    try:
        table: dict[str, Any] = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise DataFileError(f"{path}: no such file", hint="edge-sandbox devices list shows the known ids") from None
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read: {error.strerror}", hint="name a readable .toml file") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or a number or a nesting beyond reason
        problem = str(error).replace("\n", " ")
        raise DataFileError(f"{path}: not a TOML file: {problem}", hint="correct the file at that place") from None
    return table


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
