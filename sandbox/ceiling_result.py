"""The document that `ceiling` ends in: the smallest RAM, and the table of RAM against outcome."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from .metrics import Quantity
from .record import Device, Image, Model
from .result import Check, Tool, Verdict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Frozen):
    """One run under one limit."""

    limit: Quantity
    """Unavailable for the first run, which has none."""
    fits: bool
    outcome: str
    """``ran``, or how it ended."""
    peak: Quantity


class Variant(_Frozen):
    """One way to run the model, and the least memory for it."""

    threads: int
    shapes: dict[str, tuple[int, ...]]
    """Of the inputs that the run fixed; others have the shapes of the file."""
    minimum: Quantity
    """The smallest limit under which it ran; ``low`` is the largest under which it did not."""
    trials: tuple[Trial, ...]
    """In the order in which they ran."""


class CeilingResult(_Frozen):
    """The whole document."""

    schema_version: Literal[1] = 1
    tool: Tool
    model: Model
    device: Device
    image: Image
    runtime: str
    emulator: str | None
    available: Quantity
    variants: tuple[Variant, ...]
    checks: tuple[Check, ...]
    """One for each variant."""
    verdict: Verdict
    warnings: tuple[str, ...] = ()


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **CeilingResult.model_json_schema()}
