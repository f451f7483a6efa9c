"""A runtime that was compiled for another NumPy than the image has: which is the older of the two. Pure.

TFLite's Python wrapper only says that its interpreter "returned a result with an error set"; what NumPy has to say goes
to stderr, or is the cause of that error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .engines.base import Outcome
from .record import RunRecord
from .verdict import Failure

_VERSIONS = re.compile(r"compiled against API version 0x([0-9a-f]{1,4}) but this version of numpy is 0x([0-9a-f]{1,4})")
_FOR_NUMPY_1 = re.compile(r"compiled using NumPy 1\.x|_ARRAY_API not found")
_FIRST_WITH = {
    0xE: "1.20", 0xF: "1.22", 0x10: "1.23", 0x11: "1.25", 0x12: "2.0", 0x13: "2.1", 0x14: "2.3",
}  # fmt: skip
"""The first NumPy with that C API: numpy/core/code_generators/cversions.txt in its sources."""
_LONGEST = 20_000


def explain(
    failure: Failure | None, outcome: Outcome, report: Mapping[str, Any] | None, record: RunRecord
) -> Failure | None:
    """The failure with the two NumPy versions in it; any other failure as it is."""
    # ONNX Runtime's import says "ImportError" and no more
    if failure is None or not (failure.check == "abi" or _says_nothing(failure)):
        return failure
    error, runtime = (report.get(key) if report else None for key in ("error", "runtime"))
    cause = str(error.get("cause") or "") if isinstance(error, dict) else ""
    said = f"{outcome.stderr[-_LONGEST:]}\n{cause[:_LONGEST]}"
    has = str(runtime.get("numpy") or "")[:30] if isinstance(runtime, dict) else ""
    image = f"NumPy {has}" if has else "another NumPy"
    build = f"{record.runtime.name} {record.runtime.version}"
    versions = _VERSIONS.search(said)
    if versions and int(versions[1], 16) > int(versions[2], 16):
        wanted = _FIRST_WITH.get(int(versions[1], 16))
        beside = f" ({image})" if has else ""
        reason = f"{build} was compiled for a newer NumPy than the image has{beside}: {failure.reason}"
        newer = f"NumPy {wanted} or newer" if wanted else "a newer NumPy"
        return replace(
            failure,
            check="abi",
            reason=reason,
            fix=f"install {newer} beside it, or use an older version of {build.split(maxsplit=1)[0]}",
        )
    if _FOR_NUMPY_1.search(said):
        reason = f"{build} was compiled for NumPy 1, and finds {image}: {failure.reason}"
        return replace(failure, check="abi", reason=reason, fix=failure.fix or "install numpy<2 beside this runtime")
    return failure


def _says_nothing(failure: Failure) -> bool:
    return failure.check == "run" and failure.reason.startswith("ImportError during ")
