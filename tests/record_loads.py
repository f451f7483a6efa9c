"""``python -m tests.record_loads [IMAGE…]``: which versions of each runtime run on an image, into ``compatibility/``.

Of each minor version that pip takes on the image the newest, and the versions that failed in the field. Each runs the
smallest model on the oldest core that the image's devices have, where that ends with an illegal instruction on the next
one too, and on a Raspberry Pi 5, whose kernel has pages of 16 KiB. Versions that were recorded are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from packaging.version import Version

from sandbox.cli.common import image_builder
from sandbox.compatibility.facts import Load, load_index
from sandbox.compatibility.install import choose_wheel
from sandbox.compatibility.loads import LoadRow, Loads, load_loads
from sandbox.device import load_device, select_os
from sandbox.errors import SandboxError
from sandbox.image.build import ImageBuilder
from sandbox.image.spec import load_spec
from sandbox.progress import Silent
from sandbox.resources import data_directory

from .record_builds import RUNTIMES, load

_IMAGES = ("bookworm-arm64", "bullseye-arm64", "trixie-arm64")
_DEVICES = ("rpi3b", "rpi4b")
"""The oldest core first."""
_LARGE_PAGES = "rpi5"
_MORE = {("onnxruntime", "1.20.1"), ("onnxruntime", "1.21.0"), ("onnxruntime", "1.22.0")}

_MODEL_TOO_NEW = "Unknown model file format version"
"""What onnxruntime says of an IR version that it does not know."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.record_loads", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"default: {', '.join(_IMAGES)}")
    directory = data_directory("compatibility")
    builder = image_builder(None, Silent())
    for image in parser.parse_args().images or _IMAGES:
        known = load_loads(image, directory)
        rows = list(known.rows) if known else []
        path = directory / "loads" / f"{image}.json"
        path.parent.mkdir(exist_ok=True)
        for runtime, version in versions(image):
            if not any((row.runtime, row.version) == (runtime, version) for row in rows) and _can_have(image, runtime):
                rows += record(builder, image, runtime, version)
                path.write_text(_text(image, builder, rows))


def _can_have(image: str, runtime: str) -> bool:
    return any(each.name == runtime for each in load_spec(image, data_directory("images")).runtimes)


def versions(image: str) -> Iterator[tuple[str, str]]:
    """What is recorded of an image."""
    spec = load_spec(image, data_directory("images"))
    for runtime in RUNTIMES:
        known = choose_wheel(load_index(runtime, data_directory("compatibility")), "0", spec).versions
        fitting = sorted((Version(each.version) for each in known if each.fits), reverse=True)
        seen: set[tuple[int, ...]] = set()
        for each in (one for one in fitting if not one.is_prerelease):
            minor = each.release[:2]
            if minor not in seen or (runtime, str(each)) in _MORE:
                seen.add(minor)
                yield runtime, str(each)


def record(builder: ImageBuilder, image: str, runtime: str, version: str) -> Iterator[LoadRow]:
    """The rows of one version."""
    directory = data_directory("device_specs")
    refused = True  # by the core
    for device in (*_DEVICES, _LARGE_PAGES):
        spec = load_device(device, directory)
        if image not in {each.image for each in spec.os} or not (refused or device == _LARGE_PAGES):
            continue
        os = select_os(spec, image)
        try:
            found: Load = load(builder, image, device, runtime, version)
        except SandboxError as error:  # it cannot be installed at all
            sys.stdout.write(f"{image} {runtime} {version}: {error}\n")
            return
        if _MODEL_TOO_NEW in found.detail:
            return  # that is said of our model, and nothing of the build
        refused = found.outcome == "illegal instruction"
        sys.stdout.write(f"{image} {runtime} {version} {device}: {found.outcome} {found.detail}\n")
        sys.stdout.flush()
        yield LoadRow(
            runtime=runtime,
            version=version,
            emulated_cpu=os.emulated_cpu,
            page_size_bytes=os.page_size_bytes,
            outcome=found.outcome,
            detail=found.detail,
        )


def _text(image: str, builder: ImageBuilder, rows: Sequence[LoadRow]) -> str:
    """One row of the table on each line."""
    table = Loads(
        image=image,
        recorded=datetime.now(timezone.utc).date().isoformat(),
        emulator=f"QEMU {builder.emulator().version}",
        rows=tuple(sorted(rows, key=lambda row: (row.runtime, Version(row.version), row.page_size_bytes))),
    )
    document = table.model_dump(mode="json")
    lines = ",\n  ".join(json.dumps(row) for row in document.pop("rows"))
    return json.dumps(document, indent=1)[:-2] + f',\n "rows": [\n  {lines}\n ]\n}}\n'


if __name__ == "__main__":
    main()
