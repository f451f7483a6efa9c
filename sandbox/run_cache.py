"""Finished runs by the digest of everything that decided them: nothing is emulated twice.

What is kept is the run folder's plain files, not the result: a new calibration or threshold is applied to the same
counts without running anything. A run appears complete or not at all.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import native, rundir
from .analysis import analyse
from .device import load_device, select_os
from .engines.memory_limit import limit_mechanism
from .errors import DataFileError
from .graph import read_model
from .image.build import ImageBuilder
from .image.emulator import host_architecture
from .image.spec import load_lock, load_spec
from .image.store import Store, remove_tree
from .plan import JOB_NAMES, ProfileRequest, choose_runtime
from .resources import data_directory
from .result import Result

_KEY = "key.json"
_UNDECIDING = {"sources", "origin", "price"}
"""Of a device's spec: where its facts were read, and what it costs."""
_LEFT_OUT = {"outputs.npz"}
"""Of a run folder: the model's outputs, which may be large and which no report reads."""
_LARGEST_FILE_BYTES = 64 << 20
"""As in `rundir`: what is larger is read by nobody."""


def run_key(request: ProfileRequest, builder: ImageBuilder) -> dict[str, Any]:
    """All that decides what a run of ``request`` leaves behind, by name; files by sha256. Builds and runs nothing.

    Raises `UsageError` and `DataFileError` for a model, device, image or runtime that cannot be run.
    """
    graph = read_model(request.model)
    device = load_device(request.device, data_directory("device_specs"))
    os_choice = select_os(device, request.os)
    name, wanted = choose_runtime(request.runtime, graph, builder.runtimes(os_choice.image))
    spec, lock = load_spec(os_choice.image, builder.images), load_lock(os_choice.image, builder.images)
    host = host_architecture()
    locked = lock.runtime_versions(name)
    options = {key: value for key, value in asdict(request).items() if key not in {"model", "device", "mirror"}}
    del options["latency_budget_seconds"]  # a question asked of the numbers afterwards
    engine = ("native" if host == "arm64" and request.isolated else "local") if request.engine == "auto" else None
    options |= {"os": os_choice.image, "runtime": (name, wanted or locked[0]), "engine": engine or request.engine}
    if request.inputs not in {"random", "zeros"}:
        options["inputs"] = _sha256([Path(request.inputs)])
    return {
        **_tool(builder.images),
        "native_parts": _sha256(
            [
                native.plugin(host),
                native.clock_library(spec.architecture),
                native.fault_library(spec.architecture),
            ]
        ),
        "emulator": load_lock(f"emulator-{host}", builder.images).digest,
        "image": lock.digest,
        "model": (graph.sha256, _sha256(graph.external_files)),
        "device": device.model_dump(mode="json", exclude=_UNDECIDING),
        "host": platform.uname()[1:] if options["engine"] == "native" else host,
        "options": options,
    }


class RunCache:
    """The kept runs, below the cache folder."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = store.directory / "runs"

    def find(self, key: dict[str, Any]) -> Path | None:
        """The folder of the run with that key, if it is kept."""
        folder = self._folder(key)
        return folder if (folder / rundir.RECORD).is_file() else None

    def keep(self, key: dict[str, Any], run_dir: Path) -> None:
        """Copy a finished run. One that ran out of time is not kept: on a less busy host it may have ended well."""
        if any(rundir.read_outcome(run_dir / job).timed_out for job in _finished(run_dir)):
            return
        with self._store.fresh(self._folder(key)) as work:
            _copy_plain(run_dir, work)
            (work / _KEY).write_text(_canonical(key), encoding="utf-8")

    def result(self, folder: Path, request: ProfileRequest) -> Result:
        """The result of a kept run, by today's calibrations and for the questions that ``request`` asks."""
        record = rundir.read_record(folder)
        model = record.model.model_copy(update={"path": str(request.model)})
        asked = {"model": model, "latency_budget_seconds": request.latency_budget_seconds}
        return analyse(folder, record.model_copy(update=asked))

    def runs(self) -> Iterator[Path]:
        """The folders of all kept runs."""
        return (path.parent for path in self._directory.glob(f"*/{_KEY}"))

    def size_bytes(self) -> int:
        """What they take on the disk."""
        return sum(path.lstat().st_size for folder in self.runs() for path in folder.rglob("*"))

    def clear(self) -> int:
        """Remove all of them; bytes freed."""
        freed = self.size_bytes()
        for folder in tuple(self.runs()):
            remove_tree(folder)
        return freed

    def _folder(self, key: dict[str, Any]) -> Path:
        return self._directory / hashlib.sha256(_canonical(key).encode()).hexdigest()[:32]


@functools.cache
def _tool(images: Path) -> dict[str, str]:
    """The tool's own share, the same for all runs of a process."""
    return {
        "tool": version("edge-sandbox"),
        "code": _sha256(sorted(Path(__file__).parent.rglob("*.py"))),
        "guest": _sha256(sorted((images / "guest").glob("*.py"))),
        "memory_limit": limit_mechanism(),
    }


def _finished(run_dir: Path) -> tuple[str, ...]:
    return tuple(job for job in JOB_NAMES if (run_dir / job / rundir.OUTCOME).is_file())


def _canonical(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, default=str)


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0")
        try:
            with path.open("rb") as file:
                digest.update(hashlib.sha256(file.read()).digest())
        except OSError as error:
            raise DataFileError(f"{path}: cannot be read: {error.strerror}", hint="name a readable file") from error
    return digest.hexdigest()


def _copy_plain(folder: Path, target: Path) -> None:
    """Copy plain files of reasonable size: the guest may have left links, pipes and worse in its folder."""
    for parent, folders, names in os.walk(folder):
        here = target / Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not (Path(parent) / name).is_symlink()]
        here.mkdir(exist_ok=True)
        for name in names:
            source = Path(parent) / name
            status = source.lstat()
            if name not in _LEFT_OUT and stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST_FILE_BYTES:
                shutil.copyfile(source, here / name)
