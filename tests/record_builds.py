"""``python -m tests.record_builds [wheels|images|builds|loads]…``: write ``compatibility/`` anew, all of it or parts.

``wheels``: which wheels the package index has, as pip sees them. ``images``: what each built image offers. ``builds``:
the ELF files of every locked wheel, and of those that the field failures are about. ``loads``: each build imported and
run with the smallest model, on every core that a device of its image has, with the local engine.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from pydantic import BaseModel

from sandbox import process, rundir
from sandbox.cli.common import image_builder
from sandbox.compatibility.elf import offered
from sandbox.compatibility.facts import BuildFacts, ImageFacts, IndexFacts, IndexWheel, Load, load_build
from sandbox.compatibility.wheel import read_wheel
from sandbox.device import available_devices, load_device
from sandbox.engines.guard import guard
from sandbox.image.build import ImageBuilder
from sandbox.image.spec import RuntimeSpec, load_lock, load_spec
from sandbox.image.wheels import resolve_wheels
from sandbox.pipeline import prepare
from sandbox.plan import ProfileRequest
from sandbox.profilers.reached import reached_code
from sandbox.progress import Silent
from sandbox.resources import data_directory
from sandbox.verdict import find_failure

from . import zoo
from .record_baselines import SMALLEST, SMALLEST_ONNX

RUNTIMES = ("tflite-runtime", "ai-edge-litert", "onnxruntime")
_IMAGES = ("bookworm-arm64", "trixie-arm64", "bullseye-arm64", "bookworm-armhf", "bookworm-amd64")
_MORE = (  # (image, runtime, version): those that failed in the field, and the versions around them
    ("bookworm-arm64", "onnxruntime", "1.20.1"),
    ("bookworm-arm64", "onnxruntime", "1.21.0"),
    ("bookworm-arm64", "onnxruntime", "1.22.0"),
    ("bookworm-arm64", "ai-edge-litert", "1.4.0"),
    ("bullseye-arm64", "tflite-runtime", "2.12.0"),
    ("bullseye-arm64", "tflite-runtime", "2.13.0"),
    ("bullseye-arm64", "tflite-runtime", "2.14.0"),
)
_NEWER_GLIBC = "2.99"  # wheels that pip would refuse on the image are read as well
_LINK = re.compile(r"/([^/\s#]+\.whl)(?:#|\s|$)")
_WANTED_PLATFORM = re.compile(r"linux\w*_(x86_64|aarch64|armv7l)\.whl$|-any\.whl$")
_TODAY = datetime.now(timezone.utc).date().isoformat()


def main() -> None:
    parts = ("wheels", "images", "builds", "loads")
    parser = argparse.ArgumentParser(prog="python -m tests.record_builds", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; default: all")
    wanted = parser.parse_args().parts or parts
    if unknown := set(wanted) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    directory = data_directory("compatibility")
    builder = image_builder(None, Silent())
    work = {"wheels": _record_indexes, "images": _record_images, "builds": _record_builds, "loads": _record_loads}
    for part in parts:
        if part in wanted:
            work[part](builder, directory)


def _record_indexes(_builder: ImageBuilder, directory: Path) -> None:
    for runtime in RUNTIMES:
        _write(directory / "wheels" / f"{runtime}.json", index_facts(runtime))


def _record_images(builder: ImageBuilder, directory: Path) -> None:
    for image in _IMAGES:
        _write(directory / "images" / f"{image}.json", image_facts(builder, image))


def _record_builds(builder: ImageBuilder, directory: Path) -> None:
    for image, runtime, version in _builds():
        facts = build_facts(builder, image, runtime, version)
        known = load_build(facts.wheel, directory)
        if known is not None and known.sha256 == facts.sha256:
            facts = facts.model_copy(update={"loads": known.loads})
        _write(_path(directory, facts.wheel), facts)


def _record_loads(builder: ImageBuilder, directory: Path) -> None:
    for image, runtime, version in _builds():
        _load_everywhere(builder, directory, image, runtime, version)


def index_facts(runtime: str) -> IndexFacts:
    """All Linux wheels of a runtime for our machines. pip names every file that it looks at when it finds none."""
    argv = [sys.executable, "-m", "pip", "download", "-vvv", "--no-deps", "--only-binary=:all:"]
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-") as scratch:
        done = process.run([*argv, "--dest", scratch, f"{runtime}==0"], timeout=300, env=env)
    names = {
        unquote(match[1])
        for line in (done.stdout + done.stderr).splitlines()
        if "Found link" in line or "Skipping link" in line
        for match in _LINK.finditer(line)
    }
    # pip also names the files of other projects that it finds in a folder of wheels
    own = (name for name in names if canonicalize_name(name.partition("-")[0]) == runtime)
    wheels = sorted(name for name in own if _WANTED_PLATFORM.search(name))
    if not wheels:
        sys.exit(f"pip found no wheels of {runtime}: {done.stderr[-500:]}")
    return IndexFacts(
        runtime=runtime,
        source="the Python Package Index as pip lists it",
        recorded=_TODAY,
        wheels=tuple(IndexWheel(filename=name) for name in wheels),
    )


def image_facts(builder: ImageBuilder, image: str) -> ImageFacts:
    """What the libraries of the built image define."""
    built = builder.build(image)
    triplet = built.spec.triplet
    folders = [built.root / "lib" / triplet, built.root / "usr/lib" / triplet, built.root / "lib"]
    versions, sonames = offered(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))
    return ImageFacts(
        image=image,
        lock=built.lock.digest,
        recorded=_TODAY,
        versions=dict(sorted(versions.items())),
        sonames=tuple(sorted(sonames)),
    )


def build_facts(builder: ImageBuilder, image: str, runtime: str, version: str) -> BuildFacts:
    """The wheel's files, whether pip would take it on the image or not."""
    spec = load_spec(image, builder.images).model_copy(update={"glibc": _NEWER_GLIBC})
    locked = next(
        (w for w in load_lock(image, builder.images).wheels if (w.name, w.version) == (runtime, version)), None
    )
    downloads = builder.store.downloads
    if locked is None or not downloads.has(locked.sha256):
        (locked,) = resolve_wheels(RuntimeSpec(name=runtime, version=version), spec, downloads)
    sys.stdout.write(f"{locked.filename}\n")
    return read_wheel(
        downloads.path(locked.sha256), filename=locked.filename, runtime=runtime, version=version, recorded=_TODAY
    )


def load(builder: ImageBuilder, image: str, device: str, runtime: str, version: str) -> Load:
    """One run of the smallest model on that device."""
    name = SMALLEST.get(runtime, SMALLEST_ONNX)
    with guard() as protector, tempfile.TemporaryDirectory(prefix="edge-sandbox-load-") as scratch:
        model = Path(scratch) / name
        model.write_bytes(zoo.make(name))
        run_dir = Path(scratch) / "run"
        run_dir.mkdir()
        request = ProfileRequest(
            model=model, device=device, os=image, runtime=f"{runtime}@{version}", engine="local", swap=False
        )
        plan = prepare(request, run_dir, builder, protector)
        job = plan.jobs[0]
        outcome = plan.engine.run(job, threading.Event())
        report, phases = rundir.read_runner_report(job.run_dir), rundir.read_phases(job.run_dir)
        failure = find_failure(outcome, report, phases, job.memory_limit_bytes)
        code = reached_code(job.run_dir, plan.image.root)
    own = f"/opt/{runtime}-{version}/"
    features = sorted({each.feature for each in code or () if own in each.path or each.path == "unknown"})
    return Load(
        image=image,
        emulated_cpu=plan.os.emulated_cpu,
        outcome="loaded" if failure is None else "illegal instruction" if outcome.signal == 4 else "failed",
        detail="" if failure is None else failure.reason[:300],
        reached=tuple(features) if code is not None and failure is None else None,
    )


def _load_everywhere(builder: ImageBuilder, directory: Path, image: str, runtime: str, version: str) -> None:
    facts = build_facts(builder, image, runtime, version)
    facts = load_build(facts.wheel, directory) or facts
    loads = [each for each in facts.loads if each.image != image]
    for cpu, device in _cores(image).items():
        try:
            each = load(builder, image, device, runtime, version)
        except Exception as error:  # noqa: BLE001  # pip refuses the wheel there: nothing to load
            sys.stdout.write(f"  {cpu}: {error}\n")
            continue
        sys.stdout.write(f"  {cpu}: {each.outcome} {each.detail} {each.reached}\n")
        sys.stdout.flush()
        loads.append(each)
    _write(_path(directory, facts.wheel), facts.model_copy(update={"loads": tuple(loads)}))


def _builds() -> Iterator[tuple[str, str, str]]:
    images = data_directory("images")
    for image in _IMAGES:
        for wheel in load_lock(image, images).wheels:
            if wheel.name in RUNTIMES:
                yield image, wheel.name, wheel.version
    yield from _MORE


def _cores(image: str) -> dict[str, str]:
    """Emulated core → a device that has it with the image."""
    directory = data_directory("device_specs")
    return {
        choice.emulated_cpu: name
        for name in reversed(available_devices(directory))
        for choice in load_device(name, directory).os
        if choice.image == image
    }


def _path(directory: Path, wheel: str) -> Path:
    return directory / "builds" / f"{wheel.removesuffix('.whl')}.json"


def _write(path: Path, document: BaseModel) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = document.model_dump_json(indent=1)
    # rows of a table on a line each: small enough to read, and to see what changed
    text = re.sub(r"\n {3,}", " ", text)
    path.write_text(re.sub(r"\n  (?=[\]}])", "", text).replace("{ ", "{").replace("[ ", "[") + "\n")


if __name__ == "__main__":
    main()
