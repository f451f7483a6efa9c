"""Finished runs by the digest of everything that decided them: nothing is emulated twice.

What is kept is the run folder's plain files, not the result: a new calibration or threshold is applied to the same
counts without running anything. A run appears complete or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import signal
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import rundir
from .analysis import analyse
from .calibration import read_any_calibration
from .device import DeviceSpec, load_device, select_os
from .engines.memory_limit import limit_mechanism
from .errors import DataFileError
from .graph import ModelGraph, read_model
from .image.build import ImageBuilder, known_derived_lock
from .image.emulator import host_architecture
from .image.spec import load_lock
from .image.store import Store, remove_tree
from .microcontroller import host as microcontroller_host
from .microcontroller import profile as microcontroller
from .microcontroller.analysis import analyse as analyse_board
from .microcontroller.board import Microcontroller, is_microcontroller
from .microcontroller.record import has_record
from .microcontroller.record import read_record as read_board_record
from .microcontroller.tflm import files_in
from .plan import ProfileRequest, choose_runtime
from .record import ModelRecord
from .resources import data_directory
from .result import Result

_KEY = "key.json"
_UNDECIDING = {"sources", "origin", "price"}
"""Of a device's spec: where its facts were read, and what it costs."""
_ASKED_APART = {"model", "device", "mirror", "os", "runtime", "latency_budget_seconds", "calibration"}
"""Of a request: what the key names by content, and what decides nothing: budget and calibration judge the run later."""
_LARGEST_FILE_BYTES = 64 << 20
"""As in `rundir`: what is larger is read by nobody."""
_MOST = 1000
"""Runs are kept, of 1 to 3 MB each; then the one that was asked for least recently goes."""


def run_key(request: ProfileRequest, builder: ImageBuilder) -> dict[str, Any]:
    """All that decides what a run of ``request`` leaves behind, by name; files by sha256. Builds and runs nothing.

    A runtime version that is not locked is known by its wheels only after a run: keep that run by the key of then.
    Raises `UsageError` and `DataFileError` for a model, device, image or runtime that cannot be run.
    """
    host = host_architecture()
    options = {key: value for key, value in asdict(request).items() if key not in _ASKED_APART}
    if request.inputs not in {"random", "zeros"}:
        options["inputs"] = _sha256([Path(request.inputs)])
    if request.tflm is not None:
        options["tflm"] = _sha256(files_in(request.tflm))
    device: DeviceSpec | Microcontroller
    if is_microcontroller(request.device, data_directory("device_specs")):
        graph, device = microcontroller.read_request(request)
        image = microcontroller_host.IMAGE
        options["runtime"] = microcontroller_host.RUNTIME
        lock = load_lock(image, builder.images)
    else:
        graph, device = read_model(request.model), load_device(request.device, data_directory("device_specs"))
        image = select_os(device, request.os).image
        pinned = load_lock(image, builder.images)
        options["runtime"] = runtime_of(request, graph, image, builder)
        lock = known_derived_lock(builder.store, pinned, *options["runtime"]) or pinned
        if request.engine == "auto":
            options["engine"] = "native" if host == "arm64" and request.isolated else "local"
    return {
        **_tool(builder.images),
        "emulators": [load_lock(f"emulator{kind}-{host}", builder.images).digest for kind in ("", "-system")],
        "image": lock.digest,
        "model": (graph.sha256, _sha256(graph.external_files)),
        "device": device.model_dump(mode="json", exclude=_UNDECIDING),
        "host": platform.uname()[1:] if options["engine"] == "native" else host,
        "options": options,
    }


def runtime_of(request: ProfileRequest, graph: ModelGraph, image: str, builder: ImageBuilder) -> tuple[str, str]:
    """Name and version of the runtime that the request gets in that image. Raises `UsageError`, `DataFileError`."""
    name, wanted = choose_runtime(request.runtime, graph, builder.runtimes(image))
    return name, wanted or load_lock(image, builder.images).runtime_versions(name)[0]


class RunCache:
    """The kept runs, below the cache folder."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = store.directory / "runs"

    def find(self, key: dict[str, Any]) -> Path | None:
        """The folder of the run with that key, if it is kept."""
        folder = self._folder(key)
        if not (folder / _KEY).is_file():
            return None
        with contextlib.suppress(OSError):  # a cache that may only be read
            os.utime(folder / _KEY)  # asked for now
        return folder

    def keep(self, key: dict[str, Any], run_dir: Path) -> None:
        """Copy a finished run, but not one that ran out of time or was killed: on a less busy host it may end well."""
        outcomes = [rundir.read_outcome(path.parent) for path in run_dir.glob(f"*/{rundir.OUTCOME}")]
        if any(each.timed_out or (each.signal == signal.SIGKILL and not each.out_of_memory) for each in outcomes):
            return
        with self._store.exclusive("runs"), self._store.fresh(self._folder(key)) as work:
            _copy_plain(run_dir, work)
            (work / rundir.CALIBRATION).unlink(missing_ok=True)  # of the request that made the run, not of the run
            (work / _KEY).write_text(_canonical(key), encoding="utf-8")
        for folder in sorted(self.runs(), key=_asked_for)[:-_MOST]:
            remove_tree(folder)

    def result(self, folder: Path, request: ProfileRequest) -> Result:
        """The result of a kept run, by today's calibrations and for the questions that ``request`` asks."""
        if has_record(folder):
            board_record = read_board_record(folder)
            found = analyse_board(folder, board_record.model_copy(update=_asked(board_record.model, request)))
        else:
            record = rundir.read_record(folder)
            calibration = None if request.calibration is None else read_any_calibration(request.calibration)
            found = analyse(folder, record.model_copy(update=_asked(record.model, request)), calibration)
        return found.model_copy(update={"cached": True})

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


def _asked_for(folder: Path) -> float:
    """When, as far as is known: another process may be removing it."""
    try:
        return (folder / _KEY).stat().st_mtime
    except OSError:
        return 0.0


def _asked(model: ModelRecord, request: ProfileRequest) -> dict[str, Any]:
    """What of a record is the request's and not the run's."""
    named = model.model_copy(update={"path": str(request.model)})
    return {"model": named, "latency_budget_seconds": request.latency_budget_seconds}


@functools.cache
def _tool(images: Path) -> dict[str, str]:
    """The tool's own share, the same for all runs of a process."""
    return {
        "tool": version("edge-sandbox"),
        "code": _sha256(sorted(Path(__file__).parent.rglob("*.py"))),
        "guest": _sha256(sorted((images / "guest").glob("*.py"))),
        "native_parts": _sha256(_files(data_directory("native"))),
        "tables": _sha256(_files(data_directory("compatibility"))),
        "memory_limit": limit_mechanism(),
    }


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


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
            if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST_FILE_BYTES:
                shutil.copyfile(source, here / name)
