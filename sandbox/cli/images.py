"""``edge-sandbox images``: pinned images: list, build, verify, lock, prune."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbox.errors import DataFileError
from sandbox.progress import Silent
from sandbox.resources import data_directory
from sandbox.units import format_size

from .common import MirrorOption, QuietOption, VerboseOption, image_builder
from .stderr_progress import StderrProgress

app = typer.Typer(
    no_args_is_help=True,
    help="Pinned images of device OSes: every package and wheel by sha256. Images build themselves when a profile "
    "needs them; build them beforehand to work offline later.",
    rich_markup_mode=None,
)

_ImagesArgument = Annotated[list[str] | None, typer.Argument(help="Image ids. Default: all.", show_default=False)]


def _chosen(ids: list[str] | None) -> list[str]:
    from sandbox.image.emulator import host_architecture  # noqa: PLC0415
    from sandbox.image.spec import available_images  # noqa: PLC0415

    host = f"emulator-{host_architecture()}"
    every = available_images(data_directory("images"))
    return ids or [image for image in every if not image.startswith("emulator-") or image == host]


@app.command(name="list")
def list_images() -> None:
    """List all images with their runtimes, and whether they are built.

    Example: edge-sandbox images list
    """
    from sandbox.image.spec import available_images, load_lock, load_spec  # noqa: PLC0415

    directory = data_directory("images")
    store = image_builder(None, StderrProgress()).store
    for image in available_images(directory):
        spec, lock = load_spec(image, directory), load_lock(image, directory)
        state = "built" if store.find(spec, lock) else "not built"
        runtimes = ", ".join(f"{r.name}@{r.version}" for r in spec.runtimes)
        typer.echo(f"{image:<21} {state:<10} {lock.digest[:12]}  {spec.title}")
        if runtimes:
            typer.echo(f"{'':<21} {'':<10} {'':<12}  Python {spec.python}: {runtimes}")


@app.command()
def build(
    images: _ImagesArgument = None,
    *,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Download, check and unpack images; needs neither root nor Docker. A second build has nothing to do.

    Example: edge-sandbox images build bookworm-arm64
    """
    builder = image_builder(mirror, Silent() if quiet else StderrProgress())
    for image in _chosen(images):
        built = builder.build(image)
        typer.echo(f"{image}: {built.directory}")


@app.command()
def verify(images: _ImagesArgument = None) -> None:
    """Check every cached download against its sha256, and built images for missing or changed files.

    Example: edge-sandbox images verify bookworm-arm64
    """
    from sandbox.image.spec import load_lock, load_spec  # noqa: PLC0415

    directory = data_directory("images")
    store = image_builder(None, StderrProgress()).store
    for image in _chosen(images):
        spec, lock = load_spec(image, directory), load_lock(image, directory)
        for file in lock.files:
            if store.downloads.has(file.sha256):
                store.downloads.verified(file.sha256, file.name)
        built = store.image_directory(lock)
        if not built.is_dir():
            typer.echo(f"{spec.id}: not built")
            continue
        damaged = store.damage(built)
        if damaged:
            raise DataFileError(f"{built}: {damaged} is missing or changed", hint=f"edge-sandbox images build {image}")
        typer.echo(f"{spec.id}: {len(lock.files)} files as locked, {lock.digest[:12]}")


@app.command()
def lock(
    images: Annotated[list[str], typer.Argument(help="Image ids.", show_default=False)],
    *,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Resolve images anew to the newest packages and write their lock files. For maintainers; needs apt.

    Example: edge-sandbox images lock bookworm-arm64
    """
    from sandbox.image.archives import find_sources  # noqa: PLC0415
    from sandbox.image.lock import resolve_lock, write_lock  # noqa: PLC0415
    from sandbox.image.spec import load_spec  # noqa: PLC0415

    directory = data_directory("images")
    progress = Silent() if quiet else StderrProgress()
    store = image_builder(mirror, progress).store
    for image in images:
        spec = load_spec(image, directory)
        resolved = resolve_lock(spec, sources=find_sources(mirror), store=store, progress=progress)
        path = write_lock(resolved, directory)
        typer.echo(f"{path}: {len(resolved.debs)} packages, {len(resolved.wheels)} wheels, {resolved.digest[:12]}")


@app.command()
def prune(*, runs: Annotated[bool, typer.Option("--runs", help="Remove the kept runs, too.")] = False) -> None:
    """Remove cached images and downloads that no shipped lock names, derived runtime versions included.

    Example: edge-sandbox images prune --runs
    """
    from sandbox.image.spec import available_images, load_lock  # noqa: PLC0415
    from sandbox.run_cache import RunCache  # noqa: PLC0415

    directory = data_directory("images")
    locks = [load_lock(image, directory) for image in available_images(directory)]
    hashes = {file.sha256 for lock in locks for file in lock.files}
    store = image_builder(None, StderrProgress()).store
    freed = store.prune({lock.digest for lock in locks}, hashes) + (RunCache(store).clear() if runs else 0)
    typer.echo(f"freed {format_size(freed)}")
