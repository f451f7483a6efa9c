"""The documents as JSON."""

from __future__ import annotations

from sandbox.ceiling_result import CeilingResult
from sandbox.check_result import CheckResult
from sandbox.comparison import Comparison
from sandbox.microcontroller.firmware_result import FirmwareResult
from sandbox.result import Result


def render(result: Result | CheckResult | CeilingResult | Comparison | FirmwareResult) -> str:
    """The document, keys in the schema's order, absent optional fields as null."""
    return result.model_dump_json(indent=1) + "\n"
