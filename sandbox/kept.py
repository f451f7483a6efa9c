"""A profile that was made before is not made again: the run that `run_cache` keeps answers, by today's calibrations."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

from . import pipeline
from .engines.guard import Guard
from .errors import DataFileError, HostError
from .image.build import ImageBuilder
from .plan import ProfileRequest
from .result import Result
from .run_cache import RunCache, run_key


def profile(
    request: ProfileRequest,
    run_dir: Path,
    builder: ImageBuilder,
    protector: Guard,
    cancel: threading.Event | None = None,
    *,
    fresh: bool = False,
) -> Result:
    """As `pipeline.profile`, unless the very same run is kept: then its result, with ``cached`` set, and nothing runs.

    ``fresh``: run anyway, and keep the new run in place of the old. What is timed on this host's own core is always run
    anew, and what a Renode or a compiler of this host has a share in: their versions are not known.
    """
    if not fresh and (found := find(request, builder)) is not None:
        return found
    result = pipeline.profile(request, run_dir, builder, protector, cancel)
    key = _key(request, builder)
    # unknown: this host could not run TFLM
    if key is not None and (result.microcontroller is None or result.verdict.status != "unknown"):
        try:
            RunCache(builder.store).keep(key, run_dir)
        except HostError as error:
            builder.progress.warn(f"the run is not kept: {error.message}")
    return result


def find(request: ProfileRequest, builder: ImageBuilder) -> Result | None:
    """The result of the very same run, if it was kept and is whole.

    Raises `UsageError` and `DataFileError` for a request that cannot be run, as far as that is seen without running it.
    """
    cache, key = RunCache(builder.store), _key(request, builder)
    kept = None if key is None else cache.find(key)
    if kept is not None:
        with contextlib.suppress(DataFileError):  # files of it are gone: it is made again
            return cache.result(kept, request)
    return None


def _key(request: ProfileRequest, builder: ImageBuilder) -> dict[str, Any] | None:
    """Of a run that may be kept; None for the others."""
    if request.engine in {"replay", "renode"} or request.tflm is not None:
        return None
    key = run_key(request, builder)
    return None if key["options"]["engine"] == "native" else key
