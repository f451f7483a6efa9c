"""The run folder: the seam between running and judging. Names inside it, and what is written where.

``run.json`` says what was run; each job has a folder with the guest's own files and ``outcome.json``. Everything
after the engine reads only this folder, so a report can be made again from a copy of it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from .compatibility_result import Compatibility
from .device import DeviceSpec, OsChoice, render_cpuinfo, render_meminfo
from .engines.base import Outcome
from .errors import DataFileError, HostError
from .measurements import Code, IllegalInstruction, ReachedCode
from .parity import Parity
from .record import RunRecord
from .units import format_size

RECORD = "run.json"
OUTCOME = "outcome.json"
RUNNER_REPORT = "runner.json"
PHASES = "phases.jsonl"
MASSIF = "massif.out"
MAPS = "maps.txt"
CODE = "code.json"
REACHED = "reached.json"
COMPATIBILITY = "compatibility.json"
ILLEGAL_INSTRUCTION = "illegal_instruction.json"
IDENTITY = "device"
PARITY = "parity.json"
CALIBRATION = "calibration.json"
"""The calibration that was named for the run; absent where the shipped ones serve."""

_Document = TypeVar("_Document", bound=BaseModel)
_LARGEST_BYTES = 64 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LEAST_FREE_BYTES = 1 << 20
_DISK_HINT = "free some space there, or choose another disk: with --run-dir, or else with the variable TMPDIR"

_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)
_REACHED: TypeAdapter[tuple[ReachedCode, ...]] = TypeAdapter(tuple[ReachedCode, ...])


@contextlib.contextmanager
def on_disk(run_dir: Path) -> Iterator[None]:
    """Makes one clear `HostError` of a disk that is full when something is written below ``run_dir``."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise HostError(f"{run_dir}: the run's files cannot be written: {error.strerror}", hint=_DISK_HINT) from error


def require_room(run_dir: Path) -> None:
    """Raise `HostError` where the disk is as good as full: what a guest that cannot write does says nothing."""
    free = shutil.disk_usage(run_dir).free
    if free < _LEAST_FREE_BYTES:
        raise HostError(f"{run_dir}: {format_size(free)} are free on this disk: too little for a run", hint=_DISK_HINT)


def write_record(run_dir: Path, record: RunRecord) -> None:
    """Write what is about to run."""
    (run_dir / RECORD).write_text(record.model_dump_json(indent=1) + "\n")


def read_record(run_dir: Path) -> RunRecord:
    """Read what was run. Raises `DataFileError` for a folder that is no run folder, or of another version."""
    return read_document(run_dir / RECORD, RunRecord)


def read_document(path: Path, kind: type[_Document]) -> _Document:
    """The record at ``path`` of a run folder. Raises `DataFileError`."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataFileError(
            f"{path.parent} is not a run folder: {path.name} is missing", hint="give --run-dir"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataFileError(f"{path}: {where}: {first['msg']}", hint="run the profile again") from error


def write_outcome(job_dir: Path, outcome: Outcome) -> None:
    """Write how a job ended."""
    _write_over(job_dir / OUTCOME, _OUTCOME.dump_json(outcome))


def write_code(job_dir: Path, code: Mapping[int, Code]) -> None:
    """Write what the code at each guest address is."""
    document = {f"{address:x}": (found.function, found.library, found.place) for address, found in code.items()}
    _write_over(job_dir / CODE, json.dumps(document).encode())


def read_code(job_dir: Path) -> dict[int, Code]:
    """Read it again; nothing where it was not written. The guest may have written the file, if we did not."""
    try:
        found = _tamed(json.loads(read_guest_file(job_dir / CODE)))
        return {
            int(address, 16): Code(function=None if name is None else str(name), library=str(library), place=str(place))
            for address, (name, library, place) in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def write_reached(job_dir: Path, reached: Iterable[ReachedCode]) -> None:
    """Write which code ran that the device's core may not have."""
    _write_over(job_dir / REACHED, _REACHED.dump_json(tuple(reached)))


def read_reached(job_dir: Path) -> tuple[ReachedCode, ...] | None:
    """Read it again; None where it was not written or is damaged."""
    try:
        return _REACHED.validate_json(read_guest_file(job_dir / REACHED))
    except (OSError, ValidationError):
        return None


def write_fault(job_dir: Path, found: IllegalInstruction) -> None:
    """Write what the job's guest died of."""
    _write_over(job_dir / ILLEGAL_INSTRUCTION, found.model_dump_json().encode())


def read_fault(job_dir: Path) -> IllegalInstruction | None:
    """Read it again; None where it was not written or, by the guest, wrongly."""
    try:
        return IllegalInstruction.model_validate_json(read_guest_file(job_dir / ILLEGAL_INSTRUCTION))
    except (OSError, ValidationError):
        return None


def read_parity(run_dir: Path) -> Parity | None:
    """The comparison of outputs; None where none was made. Raises `DataFileError` when it is damaged."""
    path = run_dir / PARITY
    try:
        return Parity.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise DataFileError(f"{path} is damaged", hint="run the profile again") from error


def write_compatibility(run_dir: Path, compatibility: Compatibility) -> None:
    """Write what the files alone told of the build, before it ran."""
    (run_dir / COMPATIBILITY).write_text(compatibility.model_dump_json() + "\n")


def read_compatibility(run_dir: Path) -> Compatibility | None:
    """Read it again; None in folders of versions that wrote none. Raises `DataFileError` for a damaged one."""
    path = run_dir / COMPATIBILITY
    if not path.is_file():
        return None
    try:
        return Compatibility.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataFileError(f"{path} is damaged", hint="run the profile again") from error


def _write_over(path: Path, data: bytes) -> None:
    """Write a file in place of whatever the guest may have put there: a link would lead elsewhere."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_bytes(data + b"\n")


def read_outcome(job_dir: Path) -> Outcome:
    """Read how a job ended. Raises `DataFileError` when it was not run or the file is damaged."""
    path = job_dir / OUTCOME
    try:
        return _OUTCOME.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataFileError(f"{path} is missing or damaged", hint="run the profile again") from error


def read_runner_report(job_dir: Path) -> dict[str, Any] | None:
    """What the runner in the guest wrote, or None when it did not live to write it. The guest is not trusted."""
    try:
        document = _tamed(json.loads(read_guest_file(job_dir / RUNNER_REPORT)))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _tamed(value: Any, levels: int = 16) -> Any:
    """JSON of the guest without what only JSON can hold: half characters, and a nesting beyond reason (ValueError)."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if not isinstance(value, (list, dict)):
        return value
    if levels == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_tamed(item, levels - 1) for item in value]
    return {_tamed(key): _tamed(item, levels - 1) for key, item in value.items()}


def read_guest_file(path: Path) -> bytes:
    """A file that the guest wrote. Raises `OSError` for what would lead elsewhere, block, or fill the memory.

    The guest owns the folder: it may have put a link to a file of the host there, or a pipe that nobody writes to.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # pathlib opens no descriptors
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_BYTES:
            raise OSError(f"{path} is not a file of reasonable size")
        return file.read(_LARGEST_BYTES)


def read_phases(job_dir: Path) -> tuple[tuple[str, float], ...]:
    """(phase, start in seconds of the guest's monotonic clock) in order; lines that do not parse are left out."""
    phases = []
    try:
        lines = read_guest_file(job_dir / PHASES).decode(errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        try:
            entry = json.loads(line)
            name, start = _tamed(entry["phase"]), float(entry["monotonic_ns"]) / 1e9
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        if isinstance(name, str) and math.isfinite(start):
            phases.append((name, start))
    return tuple(phases)


def write_identity(run_dir: Path, device: DeviceSpec, os: OsChoice, available_bytes: int, swap_bytes: int = 0) -> Path:
    """Write the device's /proc and /sys files; returns the folder (``cpuinfo``, ``meminfo``, ``cpu/``)."""
    folder = run_dir / IDENTITY
    processors = range(device.cpu.cores)
    for number in processors:
        (folder / "cpu" / f"cpu{number}").mkdir(parents=True, exist_ok=True)
    (folder / "cpuinfo").write_text(render_cpuinfo(device, os))
    total = os.mem_total_bytes or device.ram_bytes
    (folder / "meminfo").write_text(render_meminfo(total, min(available_bytes, total), swap_bytes))
    for name in ("online", "possible", "present"):
        (folder / "cpu" / name).write_text(f"0-{processors[-1]}\n" if len(processors) > 1 else "0\n")
    return folder
