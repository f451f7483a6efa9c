"""``edge-sandbox devices``: what devices there are, and what is known of one."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbox.resources import data_directory
from sandbox.units import format_size

app = typer.Typer(
    no_args_is_help=True,
    help="List devices, show one with its sources, check a spec of your own.",
    rich_markup_mode=None,
)

_DeviceArgument = Annotated[str, typer.Argument(help="Device id, or the path of a TOML file.", show_default=False)]


@app.command(name="list")
def list_devices() -> None:
    """List all devices with core, clock, RAM and OS images.

    Example: edge-sandbox devices list
    """
    from sandbox.device import available_devices, load_device  # noqa: PLC0415

    directory = data_directory("device_specs")
    for device_id in available_devices(directory):
        device = load_device(device_id, directory)
        cpu = device.cpu
        clock = f"{cpu.cores} × {cpu.core} {cpu.clock_hz / 1e9:.1f} GHz"
        images = ", ".join(os.image for os in device.os)
        typer.echo(f"{device_id:<14} {clock:<26} {format_size(device.ram_bytes):>8}  {images}")


@app.command()
def show(device: _DeviceArgument) -> None:
    """Show a device's facts, each with its source.

    Example: edge-sandbox devices show rpi4b
    """
    from sandbox.device import facts, load_device  # noqa: PLC0415

    spec = load_device(device, data_directory("device_specs"))
    typer.echo(f"{spec.id}: {spec.name} ({spec.origin})")
    document = spec.model_dump()
    for key in facts(spec):
        table, _, field = key.rpartition(".")
        where = document if not table else document[table]
        values = [row[field] for row in where] if isinstance(where, tuple) else [where[field]]
        shown = ", ".join(dict.fromkeys(str(value) for value in values if value is not None))
        typer.echo(f"  {key:<34} {shown}")
        typer.echo(f"  {'':<34}   {spec.sources.get(key, 'no source given')}")


@app.command()
def check(device: _DeviceArgument) -> None:
    """Check a device spec: exit code 3 and the field to mend when it is wrong.

    Example: edge-sandbox devices check rpi4b
    """
    from sandbox.device import facts, load_device  # noqa: PLC0415

    spec = load_device(device, data_directory("device_specs"))
    unsourced = [key for key in facts(spec) if key not in spec.sources]
    typer.echo(f"{spec.origin}: a valid spec of {spec.name}")
    for key in unsourced:
        typer.echo(f"  {key} has no source in [sources]")
