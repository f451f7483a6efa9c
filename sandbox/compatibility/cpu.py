"""Instructions in a build that the device's core has not: there, and as far as runs tell, reached or not.

An instruction in the file says little: most builds hold kernels for newer cores and ask the kernel before they use
them. So a build is only called broken when it was seen to be.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.compatibility_result import CpuFinding, CpuStatus
from sandbox.device import DeviceSpec, OsChoice

from .facts import BuildFacts, FoundInstructions, LibraryFacts, Load
from .instructions import EMULATED_ANYWAY

_AARCH64_WORDS = {"aes", "pmull", "sha1", "sha2", "crc32"}
"""The only features above that both kinds of kernel name alike."""


def device_features(device: DeviceSpec, architecture: str) -> tuple[str, ...] | None:
    """What the kernel says the core has, for programs of that architecture; None where the spec does not say."""
    return device.cpu.features_32 if architecture == "armhf" else device.cpu.features_64


def load_on(facts: BuildFacts, image: str, os: OsChoice) -> Load | None:
    """The recorded load of the build on the image and the emulated core, if there is one."""
    return next((load for load in facts.loads if (load.image, load.emulated_cpu) == (image, os.emulated_cpu)), None)


def cpu_findings(facts: BuildFacts, device: DeviceSpec, os: OsChoice) -> tuple[CpuFinding, ...] | str:
    """What the build holds that the core lacks, or why that cannot be told."""
    architecture = next((library.machine for library in facts.libraries), "amd64")
    if architecture == "amd64":
        return "the image is an x86-64 twin: it has no Arm code"
    features = device_features(device, architecture)
    if features is None:
        bits = "features_32" if architecture == "armhf" else "features_64"
        return f"the spec of {device.id} does not say what its core has (cpu.{bits})"
    load = load_on(facts, os.image, os)
    rows = [
        _finding(library, found, load)
        for library in facts.libraries
        for found in library.instructions
        if found.feature not in features and (architecture == "arm64" or found.feature in _AARCH64_WORDS)
    ]
    return tuple(sorted(rows, key=lambda row: (row.status != "reached", row.status != "present", row.library)))


def _finding(library: LibraryFacts, found: FoundInstructions, load: Load | None) -> CpuFinding:
    refutable = found.feature not in EMULATED_ANYWAY
    status: CpuStatus
    reached: bool | None = None
    if load is not None and load.reached is not None and found.feature in load.reached:
        status, reached, reason = "reached", True, f"a run with a small model on {load.emulated_cpu} came to it"
    elif load is not None and load.outcome == "loaded" and (refutable or load.reached is not None):
        status, reached = "unreached", False
        reason = f"a run with a small model on {load.emulated_cpu} did not come to it"
    elif library.asks_kernel:
        status, reason = "present", "the library asks the kernel what the core has, so it may keep clear of it"
    else:
        status, reason = "present", "the library never asks what the core has"
    return CpuFinding(
        feature=found.feature,
        instruction=found.instruction,
        symbol=found.symbol,
        library=library.file,
        count=found.count,
        reached=reached,
        status=status,
        reason=reason,
    )


def names(findings: Iterable[CpuFinding]) -> str:
    """The features, each once, for a sentence."""
    return ", ".join(dict.fromkeys(finding.feature for finding in findings))
