"""What the profilers measure, in the words of the result document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .metrics import Quantity

OpStatus = Literal["native", "delegated", "missing", "not_run"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phase(_Frozen):
    """A part of the run and the guest's resident memory at its end."""

    name: str
    start: Quantity
    rss_at_end: Quantity


class Op(_Frozen):
    """An operator as it was executed, or why it was not."""

    index: int
    type: str
    name: str
    dtype: str | None
    delegate: str | None
    instructions: Quantity
    time: Quantity
    status: OpStatus
    detail: str | None = None
