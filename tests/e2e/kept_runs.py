"""A cache in which recorded runs stand as kept ones, so that `compare` answers without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.resources import data_directory
from sandbox.run_cache import RunCache, run_key
from tests.record_runs import RUNS

from .cli import EXAMPLE_TFLITE

ENGINE: Final = "docker"
"""Not `local`: its memory limit may be another one after the command has gone into a cgroup of its own."""


def keep(cache: Path, runs: Mapping[str, str]) -> Mapping[str, str]:
    """Keep a recorded run as each device's of the example; the environment of a command that can run nothing more."""
    builder = ImageBuilder(images=data_directory("images"), store=Store(cache), progress=Silent())
    for device, name in runs.items():
        request = ProfileRequest(model=EXAMPLE_TFLITE, device=device, engine=ENGINE)
        RunCache(builder.store).keep(run_key(request, builder), RUNS / name)
    return {"EDGE_SANDBOX_CACHE": str(cache), "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
