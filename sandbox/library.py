"""What programs and notebooks call: the same work as the commands, with the documents as return values.

``from sandbox import profile`` gives `profile`; errors are those of `errors`. Nothing is printed.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from . import compare as comparing
from . import kept, parity_run, pipeline
from .comparison import Comparison
from .engines.base import EngineName
from .engines.guard import Guard, guard
from .errors import UsageError
from .image.build import ImageBuilder
from .image.store import Store
from .plan import ProfileRequest
from .progress import Progress, Silent
from .resources import cache_directory, data_directory
from .result import Result
from .units import parse_duration, parse_size


def profile(
    model: Path | str,
    device: str,
    *,
    runtime: str | None = None,
    os: str | None = None,
    engine: EngineName | Literal["auto"] = "auto",
    threads: int = 1,
    memory: str | None = None,
    reserve: str | None = None,
    swap: bool = False,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: str = "random",
    seed: int = 0,
    delegates: bool = True,
    caches: bool = False,
    latency_budget: str | None = None,
    calibration: Path | str | None = None,
    timeout: str = "10min",
    run_dir: Path | str | None = None,
    fresh: bool = False,
    parity: bool = False,
    parity_operators: bool = False,
    parity_reference: Path | str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run a model on an emulated device, as ``edge-sandbox profile`` does, and return the result document.

    Sizes and times are texts with a unit: ``memory="256M"``, ``latency_budget="50ms"``. ``calibration``: the file of
    your own board's, to use instead of the shipped ones. The very same run is not made twice, unless ``fresh``.
    ``run_dir``: where to keep a new run, or with ``engine="replay"`` the run to judge again.
    ``parity``: compare the outputs with this host's build and with reference kernels; ``parity_operators``: and name
    the first operator that departs; ``parity_reference``: right outputs, as .npz.
    Raises `UsageError`, `DataFileError`, `HostError`.
    """
    request = ProfileRequest(
        model=Path(model),
        device=device,
        runtime=runtime,
        os=os,
        engine=engine,
        threads=threads,
        memory_bytes=parse_size(memory) if memory else None,
        reserve_bytes=parse_size(reserve) if reserve else 0,
        swap=swap,
        shapes=shapes or {},
        inputs=inputs,
        seed=seed,
        delegates=delegates,
        caches=caches,
        latency_budget_seconds=parse_duration(latency_budget) if latency_budget else None,
        calibration=None if calibration is None else Path(calibration),
        timeout_seconds=parse_duration(timeout),
    )
    if engine == "replay":
        if run_dir is None:
            raise UsageError('engine="replay" needs a recorded run', hint="name its folder with run_dir=")
        return pipeline.replay(request, Path(run_dir))
    with guard() as protector, _folder(run_dir, protector) as folder:
        if not (parity or parity_operators or parity_reference is not None):
            again = fresh or run_dir is not None
            return kept.profile(request, folder, _builder(progress), protector, fresh=again)
        compared = parity_run.ParityRequest(
            operators=parity_operators, reference=None if parity_reference is None else Path(parity_reference)
        )
        return parity_run.profile(request, folder, _builder(progress), protector, parity=compared)


def compare(
    models: Sequence[Path | str],
    devices: Sequence[str],
    *,
    images: Sequence[str | None] = (None,),
    runtimes: Sequence[str | None] = (None,),
    threads: Sequence[int] = (1,),
    engine: EngineName | Literal["auto"] = "auto",
    memory: str | None = None,
    reserve: str | None = None,
    swap: bool = False,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    latency_budget: str | None = None,
    timeout: str = "10min",
    fresh: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Run models on every combination, as ``edge-sandbox compare`` does; ``.frame()`` is the table."""
    axes = comparing.Axes(
        models=tuple(Path(model) for model in models),
        devices=tuple(devices),
        images=tuple(images),
        runtimes=tuple(runtimes),
        threads=tuple(threads),
    )
    if not axes.models or not axes.devices:
        raise UsageError("nothing to compare", hint="name at least one model and one device")
    base = ProfileRequest(
        model=axes.models[0],
        device=axes.devices[0],
        engine=engine,
        memory_bytes=parse_size(memory) if memory else None,
        reserve_bytes=parse_size(reserve) if reserve else 0,
        swap=swap,
        shapes=shapes or {},
        latency_budget_seconds=parse_duration(latency_budget) if latency_budget else None,
        timeout_seconds=parse_duration(timeout),
    )
    with guard() as protector:
        return comparing.compare(base, axes, _builder(progress), protector, fresh=fresh)


def _builder(progress: Progress | None) -> ImageBuilder:
    return ImageBuilder(
        images=data_directory("images"), store=Store(cache_directory()), progress=progress or Silent(), mirror=None
    )


@contextlib.contextmanager
def _folder(chosen: Path | str | None, protector: Guard) -> Iterator[Path]:
    if chosen is None:
        with (
            tempfile.TemporaryDirectory(prefix="edge-sandbox-", ignore_cleanup_errors=True) as folder,
            protector.protect("folder", folder),
        ):
            yield Path(folder)
        return
    folder_chosen = Path(chosen).absolute()
    try:
        folder_chosen.mkdir(parents=True, exist_ok=True)
        occupied = any(folder_chosen.iterdir())
    except OSError as error:
        raise UsageError(f"{chosen}: {error.strerror}", hint="name a folder that can be made") from error
    if occupied:
        raise UsageError(f"{chosen} is not empty", hint="name a new folder: nothing is overwritten")
    yield folder_chosen
