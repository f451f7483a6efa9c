"""`compare`: one model or several on devices, images, runtimes and thread counts; what was run before is not run again.

Cells are independent: they run side by side, each is kept as soon as it is done, and one that cannot be run is a cell
with its reason.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path

from . import kept
from .comparison import Cell, Comparison, Hardware, comparison
from .device import DeviceSpec, load_device
from .engines.guard import Guard
from .errors import SandboxError
from .graph import read_model
from .image.build import ImageBuilder
from .microcontroller.board import Microcontroller, is_microcontroller, load_board
from .microcontroller.host import IMAGE as TFLM
from .microcontroller.host import RUNTIME
from .plan import ProfileRequest
from .resources import data_directory
from .result import Result, Tool
from .run_cache import runtime_of

Device = DeviceSpec | Microcontroller


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What is varied; the cells are the product. None stands for the default of the device or image."""

    models: tuple[Path, ...]
    devices: tuple[str, ...]
    images: tuple[str | None, ...] = (None,)
    runtimes: tuple[str | None, ...] = (None,)
    threads: tuple[int, ...] = (1,)

    def requests(self, base: ProfileRequest) -> tuple[ProfileRequest, ...]:
        """A request for each cell: ``base`` but for what is varied."""
        combined = product(self.models, self.devices, self.images, self.runtimes, self.threads)
        return tuple(
            replace(base, model=model, device=device, os=image, runtime=runtime, threads=threads)
            for model, device, image, runtime, threads in dict.fromkeys(combined)
        )


@dataclass(frozen=True, kw_only=True)
class _Missing:
    """A cell that has to be run."""

    number: int
    request: ProfileRequest


def compare(
    base: ProfileRequest, axes: Axes, builder: ImageBuilder, protector: Guard, *, fresh: bool = False
) -> Comparison:
    """Run every cell that no kept run answers, and judge them together.

    ``fresh``: run all, and keep the new runs in place of the old. Raises `UsageError` and `DataFileError` for models
    and devices that cannot be read; and when no cell at all gave a result, what stopped the first.
    """
    for model in dict.fromkeys(axes.models):
        read_model(model)
    devices = {name: _load(name) for name in axes.devices}
    requests = [_of_its_kind(request, devices[request.device]) for request in axes.requests(base)]
    found: dict[int, Cell | SandboxError] = {}
    missing: list[_Missing] = []
    for number, request in enumerate(requests, start=1):
        try:
            result = kept.find(request, builder)  # refuses what cannot be run, also with ``fresh``
            if fresh or result is None:
                missing.append(_Missing(number=number, request=request))
            else:
                found[number] = _cell(number, request, devices[request.device], result, cached=True)
        except SandboxError as error:
            found[number] = error
    found |= _run_all(missing, devices, builder, protector)
    errors = [cell for cell in found.values() if isinstance(cell, SandboxError)]
    if len(errors) == len(requests):
        raise errors[0]
    cells = [
        _failed(number, request, devices[request.device], cell, builder) if isinstance(cell, SandboxError) else cell
        for number, request in enumerate(requests, start=1)
        for cell in (found[number],)
    ]
    return comparison(Tool(version=version("edge-sandbox")), cells)


def _of_its_kind(request: ProfileRequest, device: Device) -> ProfileRequest:
    """The request without what is only for microcontrollers, where the device is none."""
    return request if isinstance(device, Microcontroller) else replace(request, tflm=None, renode=None)


def _run_all(
    missing: list[_Missing], devices: Mapping[str, Device], builder: ImageBuilder, protector: Guard
) -> dict[int, Cell | SandboxError]:
    """Run cells side by side, as many at once as there are processors: of a run's jobs, the heap profile takes most
    of the time, and it has one thread."""
    if not missing:
        return {}
    cancel = threading.Event()
    found: dict[int, Cell | SandboxError] = {}

    def run(cell: _Missing) -> Cell:
        with _temporary(protector) as folder:
            result = kept.profile(cell.request, folder, builder, protector, cancel, fresh=True)
        return _cell(cell.number, cell.request, devices[cell.request.device], result, cached=False)

    with (
        builder.progress.task(f"running {len(missing)} of the cells", total=len(missing)) as advance,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        pending: dict[Future[Cell], int] = {pool.submit(run, cell): cell.number for cell in missing}
        try:
            while pending:
                # a bounded wait, so that Ctrl-C is seen between two of them
                done, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    number = pending.pop(future)
                    try:
                        found[number] = future.result()
                    except SandboxError as error:
                        found[number] = error
                    advance(1)
        finally:
            cancel.set()
            for future in pending:
                future.cancel()
    return found


@contextlib.contextmanager
def _temporary(protector: Guard) -> Iterator[Path]:
    with (
        tempfile.TemporaryDirectory(prefix="edge-sandbox-", ignore_cleanup_errors=True) as folder,
        protector.protect("folder", folder),
    ):
        yield Path(folder)


def _cell(number: int, request: ProfileRequest, device: Device, result: Result, *, cached: bool) -> Cell:
    return Cell(
        number=number,
        model=str(request.model),
        device=device.id,
        image=result.image.id,
        runtime=f"{result.runtime.name}@{result.runtime.version}",
        threads=request.threads,
        hardware=_hardware(device),
        cached=cached,
        result=result,
    )


def _failed(number: int, request: ProfileRequest, device: Device, error: SandboxError, builder: ImageBuilder) -> Cell:
    image = request.os or (TFLM if isinstance(device, Microcontroller) else device.os[0].image)
    return Cell(
        number=number,
        model=str(request.model),
        device=device.id,
        image=image,
        runtime=_runtime(request, device, image, builder),
        threads=request.threads,
        hardware=_hardware(device),
        cached=False,
        error=error.message,
        fix=error.hint,
    )


def _runtime(request: ProfileRequest, device: Device, image: str, builder: ImageBuilder) -> str:
    """The one that the cell would have had, as far as that can be told."""
    if isinstance(device, Microcontroller):
        return RUNTIME
    try:
        return "@".join(runtime_of(request, read_model(request.model), image, builder))
    except SandboxError:
        return request.runtime or "unknown"


def _load(name: str) -> Device:
    directory = data_directory("device_specs")
    return load_board(name, directory) if is_microcontroller(name, directory) else load_device(name, directory)


def _hardware(device: Device) -> Hardware:
    if isinstance(device, Microcontroller):
        return Hardware(
            ram_bytes=device.ram_bytes, cores=1, clock_hz=device.cpu.clock_hz, price=None, price_source=None
        )
    return Hardware(
        ram_bytes=device.ram_bytes,
        cores=device.cpu.cores,
        clock_hz=device.cpu.clock_hz,
        price=device.price,
        price_source=device.sources.get("price.amount"),
    )
