"""Makes a field failure happen: the real runtime build in the real image, on the local engine."""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.check import CheckRequest, check
from sandbox.cli.common import EXIT_CODES
from sandbox.device import load_device, select_os
from sandbox.engines.guard import Guard
from sandbox.image.build import ImageBuilder
from sandbox.image.lock import derive_lock, write_lock
from sandbox.image.spec import RuntimeSpec, load_lock, load_spec
from sandbox.image.wheels import resolve_wheels
from sandbox.microcontroller.board import is_microcontroller
from sandbox.pipeline import profile
from sandbox.plan import ProfileRequest
from sandbox.reports import check_terminal, terminal
from sandbox.resources import data_directory
from sandbox.result import Check, Verdict
from sandbox.units import parse_size
from tests import host, zoo

from . import Run, cases

DEVICES = Path(__file__).parent / "devices"
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """How a run ended."""

    exit_code: int
    failed: str | None
    """The id of the check that failed, else of the one that warned."""
    printed: str
    """The verdict as the terminal report has it, without numbers that differ from host to host."""
    said: str
    """Reasons and next steps, in one line each."""


def replay(run: Run, folder: Path, protector: Guard) -> Replayed:
    """Run it in ``folder``. Only the latency job: that is the one that judges."""
    model = _model(run.model, folder)
    if run.command == "check":
        checked = check(CheckRequest(model=model, device=_device(run), os=run.os, runtime=run.runtime))
        return _replayed(checked.verdict, checked.checks, check_terminal.render(checked))
    request = ProfileRequest(
        model=model,
        device=_device(run),
        os=run.os,
        runtime=run.runtime,
        engine="auto" if on_a_microcontroller(run) else "local",
        memory_bytes=parse_size(run.memory) if run.memory else None,
        jobs=("latency", "operators") if run.operators else ("latency",),
        inferences=(0, 1),
    )
    run_dir = folder / "run"
    run_dir.mkdir()
    result = profile(request, run_dir, _builder(run), protector)
    return _replayed(result.verdict, result.checks, terminal.render(result))


def _replayed(verdict: Verdict, checks: Sequence[Check], report: str) -> Replayed:
    failed = next((check.id for status in ("fail", "warn") for check in checks if check.status == status), None)
    fixes = [check.fix for check in checks if check.fix]
    return Replayed(
        exit_code=EXIT_CODES[verdict.status],
        failed=failed,
        printed=settled(_verdict_block(report)),
        said="\n".join([*verdict.reasons, *fixes]),
    )


def on_a_microcontroller(run: Run) -> bool:
    """Whether TensorFlow Lite Micro runs the model, on this host."""
    return is_microcontroller(run.device, data_directory("device_specs"))


def _device(run: Run) -> str:
    own = DEVICES / run.device
    return str(own) if own.is_file() else run.device


def problems(run: Run, found: Replayed) -> list[str]:
    """What is otherwise than the case says."""
    wrong = [f"{text!r} was not said" for text in run.says if text not in found.said]
    if found.exit_code != run.exit_code:
        wrong.append(f"exit code {found.exit_code}, not {run.exit_code}")
    if found.failed != run.check:
        wrong.append(f"the check that failed is {found.failed}, not {run.check}")
    return wrong


def settled(text: str) -> str:
    """The text with … for what differs from host to host: addresses, sizes, times."""
    text = re.sub(r"0x[0-9a-f]{7,}", "0x…", text)
    # a line may end between the number and its unit
    return re.sub(r"\b\d[\d.,]*(\s+)(kB|MB|GB|ms|s)\b", r"…\1\2", text)


def _verdict_block(report: str) -> str:
    """The lines below VERDICT, up to the notes."""
    lines = report.rstrip().splitlines()
    block = lines[lines.index("VERDICT") + 1 :]
    notes = next((at for at, line in enumerate(block) if line.startswith("  note ")), len(block))
    return "\n".join(line.removeprefix("  ") for line in block[:notes])


def _model(name: str, folder: Path) -> Path:
    if name.startswith("examples/"):
        return PROJECT / name
    path = folder / name
    path.write_bytes(zoo.make(name))
    return path


def _image_of(run: Run) -> str:
    return select_os(load_device(run.device, data_directory("device_specs")), run.os).image


def _extra(run: Run) -> RuntimeSpec | None:
    """The runtime that the run needs and the image has not, if any."""
    if run.runtime is None:
        return None
    name, _, version = run.runtime.partition("@")
    lock = load_lock(_image_of(run), data_directory("images"))
    if not version or (version in lock.runtime_versions(name) and not run.requires):
        return None
    return RuntimeSpec(name=name, version=version, requires=run.requires)


def _builder(run: Run) -> ImageBuilder:
    return host.builder() if _extra(run) is None else _builder_with(_image_of(run))


@functools.cache
def _builder_with(image_id: str) -> ImageBuilder:
    """A builder whose image has every runtime that any case wants of it: one image for all of them."""
    images, store = data_directory("images"), host.builder().store
    profiled = [run for case in cases() for run in case.runs if run.command == "profile" and run.runtime]
    wanted = {_extra(run) for run in profiled if _image_of(run) == image_id}
    runtimes = sorted((extra for extra in wanted if extra), key=lambda extra: (extra.name, extra.version))
    spec, lock = load_spec(image_id, images), load_lock(image_id, images)
    derived = derive_lock(lock, tuple(w for extra in runtimes for w in resolve_wheels(extra, spec, store.downloads)))
    folder = _images_but(image_id, images)
    known = {runtime.name for runtime in spec.runtimes}
    lines = [(images / image_id / "image.toml").read_text()]
    lines += [f'[[runtimes]]\nname = "{r.name}"\nversion = "{r.version}"\n' for r in runtimes if r.name not in known]
    write_lock(derived, folder)
    (folder / image_id / "image.toml").write_text("\n".join(lines))
    return ImageBuilder(images=folder, store=store, progress=host.builder().progress)


def _images_but(image_id: str, images: Path) -> Path:
    """A folder like ``images`` with a place of its own for one of them."""
    folder = Path(tempfile.mkdtemp(prefix="edge-sandbox-field-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for entry in images.iterdir():
        if entry.name != image_id:
            (folder / entry.name).symlink_to(entry)
    (folder / image_id).mkdir()
    for entry in (images / image_id).iterdir():
        if entry.name not in {"image.toml", "lock.json"}:
            (folder / image_id / entry.name).symlink_to(entry)
    return folder
