"""Runtime versions that are known to fail on cores without a feature, and those around them that work.

Each entry was measured under emulation and is replayed by a case in ``tests/field_failures``; its source is the report
from the field.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KnownVersions:
    """One such failure of a runtime."""

    runtime: str
    fails: str
    """The version that fails."""
    feature: str
    """What a core has to have for it, as in /proc/cpuinfo."""
    work: tuple[str, ...]
    """The versions nearest to it, before and after, that run without that feature."""
    source: str


KNOWN_VERSIONS = (
    KnownVersions(
        runtime="onnxruntime",
        fails="1.21.0",
        feature="asimdhp",
        work=("1.20.1", "1.22.0"),
        source="https://github.com/microsoft/onnxruntime/issues/23957",
    ),
)


def known_versions(runtime: str, version: str, feature: str | None) -> KnownVersions | None:
    """What is known about that version without that feature, if anything."""
    asked = (runtime, version, feature)
    return next((known for known in KNOWN_VERSIONS if (known.runtime, known.fails, known.feature) == asked), None)
