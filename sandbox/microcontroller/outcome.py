"""What a result says of a microcontroller and of no Linux device, in the words of the result document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sandbox.metrics import Quantity, Unavailable

Kernels = Literal["reference", "cmsis-nn"]
Level = Literal["static", "host", "firmware", "runner"]
"""How far the answer was taken: from the files alone, TFLM on this host, the user's firmware, our own on the core."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arena(_Frozen):
    """The block of RAM that TFLM takes all its memory from, with one set of kernels."""

    where: Literal["host", "device"]
    """``host``: this 64-bit machine, whose structures with pointers are larger than the board's."""
    kernels: Kernels
    minimum: Quantity
    """The smallest with which the model could be set up and ran."""
    recorded: Quantity
    """What TFLM itself says it used: for some models less than it needs."""
    head: Quantity
    """Activations and scratch buffers, the same on host and device."""
    tail: Quantity
    """Structures that live as long as the interpreter."""
    refusal: str | None = None
    """What TFLM says of an arena 16 bytes smaller than the minimum; None where it was not tried."""


class Flash(_Frozen):
    """What has to lie in flash."""

    model: Quantity
    code: Quantity
    """TFLM with the operators of this model, without the application."""
    total: Quantity
    available: Quantity


class RamBlock(_Frozen):
    """A block of RAM without a gap, made of one bank or several."""

    banks: str
    size: Quantity
    used: Quantity
    """What a run on the core touched of it."""
    arena: Quantity
    """What the arena takes of it, where it is placed here."""


class OperatorWork(_Frozen):
    """One operator of the model file."""

    index: int
    subgraph: int
    type: str
    version: int | None
    registered: bool | None
    """Whether TFLM's resolver of all operators has it; None where no run and no table says so."""
    macs: Quantity
    """Multiply-accumulates by its shapes."""
    instructions: Quantity
    time: Quantity = Unavailable(unavailable="nothing was run on the core")
    """Its share of the inference by instructions."""
    detail: str | None = None


class Output(_Frozen):
    """What the model gave for the input of this run: the same bytes, or other ones, on another level."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str


class MicrocontrollerPart(_Frozen):
    """The part of a result that only a microcontroller's has."""

    level: Level
    core: str
    arenas: tuple[Arena, ...]
    """The one that the checks judge by comes first."""
    flash: Flash
    ram: tuple[RamBlock, ...]
    """The largest block first."""
    operators: tuple[OperatorWork, ...]
    macs: Quantity
    interpreter_time: Quantity = Unavailable(unavailable="nothing was run on the core")
    """What of the inference no operator takes: with the operators' times it is the whole."""
    outputs: tuple[Output, ...]
    notes: tuple[str, ...]
    """What an emulator that stood for the board does differently, and other things to know of these numbers."""
