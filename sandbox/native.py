"""Where the native parts lie: the plugin that QEMU loads, and the libraries that guests preload.

``hatch_build.py`` compiles them from ``images/plugin``, ``images/clock`` and ``images/fault`` when the package is
built.
"""

from __future__ import annotations

from pathlib import Path

from .errors import HostError
from .image.spec import Architecture
from .resources import data_directory


def plugin(host: Architecture) -> Path:
    """The plugin for the QEMU of a host of that architecture. Raises `HostError` when it was not built."""
    return _built(f"plugin-{host}.so")


def probe(host: Architecture) -> Path:
    """What looks into a microcontroller's program, for a host of that architecture. Raises `HostError` as above."""
    return _built(f"probe-{host}.so")


def clock_library(guest: Architecture) -> Path:
    """The clock library for guests of that architecture. Raises `HostError` when it was not built."""
    return _built(f"clock-{guest}.so")


def fault_library(guest: Architecture) -> Path:
    """The library that records illegal instructions. Raises `HostError` when it was not built."""
    return _built(f"fault-{guest}.so")


def _built(name: str) -> Path:
    path = data_directory("native") / name
    if not path.is_file():
        raise HostError(
            f"{path}: the native parts were not built",
            hint="install edge-sandbox again: pip install --force-reinstall . (in a checkout: pip install -e .)",
        )
    return path
