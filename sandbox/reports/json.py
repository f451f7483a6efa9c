"""The documents as JSON."""

from __future__ import annotations

import json
import re

from sandbox.ceiling_result import CeilingResult
from sandbox.check_result import CheckResult
from sandbox.comparison import Comparison
from sandbox.microcontroller.firmware_result import FirmwareResult
from sandbox.result import Result

_SUSPICIOUS = re.compile(r"[^\n -~]+")


def render(result: Result | CheckResult | CeilingResult | Comparison | FirmwareResult) -> str:
    """The document, keys in the schema's order, absent optional fields as null.

    What a terminal would obey instead of show is written as an escape, of the same value.
    """
    return _SUSPICIOUS.sub(_escaped, result.model_dump_json(indent=1)) + "\n"


def _escaped(match: re.Match[str]) -> str:
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in match[0])
