"""An illegal instruction as a verdict: which one, where, what the core lacks, and which versions work. Pure."""

from __future__ import annotations

import signal
from dataclasses import replace

from .engines.base import Outcome
from .known_versions import known_versions
from .measurements import IllegalInstruction
from .record import RunRecord
from .verdict import Failure

_WHAT = {
    "fphp": "half precision", "asimdhp": "half precision", "asimddp": "8-bit dot products",
    "i8mm": "8-bit matrix products", "bf16": "bfloat16", "atomics": "Armv8.1 atomics", "sve": "scalable vectors",
    "lrcpc": "Armv8.3 acquire loads", "asimdrdm": "rounding doubling multiplies",
}  # fmt: skip
"""What a feature is, where its name does not say it."""


def explain(
    failure: Failure | None, found: IllegalInstruction | None, outcome: Outcome, record: RunRecord
) -> Failure | None:
    """The failure with what is known of the instruction; any other failure as it is."""
    if (
        failure is None
        or found is None
        or outcome.signal != signal.SIGILL
        or outcome.timed_out
        or failure.check != "cpu"
    ):
        return failure
    during = failure.reason.partition(" (signal")[0].partition("illegal instruction ")[2]
    where = f"{found.function} in {found.file}" if found.function else f"{found.file} at {found.offset or '?'}"
    at = f"{found.instruction} ({found.encoding}) at {found.address}, {where}"
    if found.trap:
        reason = f"it stopped itself {during}: {at}, a trap that no core executes"
        fix = "the build reached code that its authors held to be unreachable: try another version and report it"
        return replace(failure, check="run", reason=reason, fix=fix)
    device, feature = record.device, found.needs
    if feature is None:
        return replace(failure, reason=f"illegal instruction {during}: {at}; {device.emulated_cpu} does not know it")
    needs = f"{feature} ({_WHAT[feature]})" if feature in _WHAT else feature
    if feature in device.features:
        reason = f"illegal instruction {during}: {at} needs {needs}; the device has that, the emulator's core has not"
        fix = f"this says nothing about the device: {device.emulated_cpu} of the emulator is an older core"
        return replace(failure, reason=reason, fix=fix, of_the_device=False)
    core = device.core if device.features else f"the emulated {device.emulated_cpu}"
    reason = f"illegal instruction {during}: {at} needs {needs}, which {core} lacks"
    known = known_versions(record.runtime.name, record.runtime.version, feature)
    if known is None:
        return replace(failure, reason=reason)
    versions = " or ".join(known.work)
    fix = f"use {known.runtime} {versions}, which run without {feature}: see {known.source}"
    return replace(failure, reason=reason, fix=fix)
