"""Where the project's data files and its cache lie: no other module knows."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_directory(name: str) -> Path:
    """The shipped folder of that name, such as ``images``: inside the wheel, or beside the package in a checkout.

    ``native``, which the build makes, is inside the package in both.
    """
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def config_directory() -> Path:
    """Where the user's settings are kept: the XDG configuration folder."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "edge-sandbox"


def cache_directory() -> Path:
    """Where downloads and unpacked images are kept: ``$EDGE_SANDBOX_CACHE``, else the XDG cache folder."""
    chosen = os.environ.get("EDGE_SANDBOX_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edge-sandbox"
