"""``edge-sandbox devices``: what devices there are, and what is known of one."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbox.resources import data_directory
from sandbox.units import format_size

from .common import say

app = typer.Typer(
    no_args_is_help=True,
    help="List devices, show one with its sources, check a spec of your own.",
    rich_markup_mode=None,
)

_DeviceArgument = Annotated[str, typer.Argument(help="Device id, or the path of a TOML file.", show_default=False)]


@app.command(name="list")
def list_devices() -> None:
    """List all devices with core, clock and RAM; with OS images, or flash for microcontrollers.

    Example: edge-sandbox devices list
    """
    from sandbox.device import available_devices, load_device  # noqa: PLC0415
    from sandbox.microcontroller.board import available_boards, load_board  # noqa: PLC0415

    directory = data_directory("device_specs")
    for device_id in available_devices(directory):
        device = load_device(device_id, directory)
        cpu = device.cpu
        clock = f"{cpu.cores} × {cpu.core} {cpu.clock_hz / 1e9:.1f} GHz"
        images = ", ".join(os.image for os in device.os)
        say(f"{device_id:<14} {clock:<26} {format_size(device.ram_bytes):>8}  {images}")
    for device_id in available_boards(directory):
        board = load_board(device_id, directory)
        clock = f"{board.cpu.core} {board.cpu.clock_hz / 1e6:g} MHz"
        sizes = f"{format_size(board.ram_bytes):>8}  {format_size(board.flash_bytes)} flash"
        say(f"{device_id:<22} {clock:<18} {sizes}")


@app.command()
def show(device: _DeviceArgument) -> None:
    """Show a device's facts, each with its source.

    Example: edge-sandbox devices show rpi4b
    """
    from sandbox.device import facts, load_device  # noqa: PLC0415
    from sandbox.microcontroller.board import is_microcontroller  # noqa: PLC0415

    directory = data_directory("device_specs")
    if is_microcontroller(device, directory):
        _show_board(device)
        return
    spec = load_device(device, directory)
    say(f"{spec.id}: {spec.name} ({spec.origin})")
    document = spec.model_dump()
    for key in facts(spec):
        table, _, field = key.rpartition(".")
        where = document if not table else document[table]
        values = [row[field] for row in where] if isinstance(where, tuple) else [where[field]]
        shown = ", ".join(dict.fromkeys(str(value) for value in values if value is not None))
        say(f"  {key:<34} {shown}")
        say(f"  {'':<34}   {spec.sources.get(key, 'no source given')}")


@app.command()
def check(device: _DeviceArgument) -> None:
    """Check a device spec: exit code 3 and the field to mend when it is wrong.

    Example: edge-sandbox devices check rpi4b
    """
    from sandbox import device as linux  # noqa: PLC0415
    from sandbox.microcontroller import board as mcu  # noqa: PLC0415

    directory = data_directory("device_specs")
    spec: linux.DeviceSpec | mcu.Microcontroller
    if mcu.is_microcontroller(device, directory):
        spec = mcu.load_board(device, directory)
        known = mcu.facts(spec)
    else:
        spec = linux.load_device(device, directory)
        known = linux.facts(spec)
    unsourced = [key for key in known if key not in spec.sources]
    say(f"{spec.origin}: a valid spec of {spec.name}")
    for key in unsourced:
        say(f"  {key} has no source in [sources]")


def _show_board(device: str) -> None:
    from sandbox.microcontroller.board import fact_text, facts, load_board  # noqa: PLC0415

    board = load_board(device, data_directory("device_specs"))
    say(f"{board.id}: {board.name} ({board.origin})")
    for key in facts(board):
        say(f"  {key:<34} {fact_text(board, key)}")
        say(f"  {'':<34}   {board.sources.get(key, 'no source given')}")
    for emulation in board.emulator:
        say(f"  {emulation.engine + ' as ' + emulation.model}")
        for line in emulation.differs:
            say(f"    {line}")
