"""Loads the runner's modules, which lie flat beside each other and run inside the device, not in the package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

GUEST = Path(__file__).resolve().parents[3] / "images" / "guest"


def load(name: str) -> Any:
    """The module ``images/guest/<name>.py``."""
    if str(GUEST) not in sys.path:
        sys.path.append(str(GUEST))
    return importlib.import_module(name)
