"""The command ``edge-sandbox``: its commands, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from sandbox.errors import SandboxError

from . import calibration, ceiling, check, compare, devices, doctor, images, profile, report, shell
from .common import printable

EXIT_INTERRUPTED = 130
_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

app = typer.Typer(
    name="edge-sandbox",
    help="Will this model run on that device, how fast, in how much memory, with which operators? Answered by running "
    "the device's own runtime build under emulation, before anyone touches a board.",
    epilog="Exit codes: 0 ready, 1 not ready, 2 wrong usage, 3 bad model, device or image file, 4 host not ready, "
    "5 the run failed for another reason, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.command(name="profile")(profile.profile)
app.command(name="report")(report.report)
app.command(name="check")(check.check)
app.command(name="compare")(compare.compare)
app.command(name="ceiling")(ceiling.ceiling)
app.command(name="shell")(shell.shell)
app.command(name="doctor")(doctor.doctor)
app.add_typer(devices.app, name="devices")
app.add_typer(calibration.app, name="calibration")
app.add_typer(images.app, name="images")


def _version(wanted: bool) -> None:  # noqa: FBT001  # Typer's callback signature
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"edge-sandbox {version('edge-sandbox')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every command line on stderr.")] = False,
    version: Annotated[  # noqa: ARG001  # handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that come before the command."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, handlers=[_handler()])
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each retry
    logging.getLogger("docker").setLevel(logging.WARNING)


def _handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(name)s: %(message)s"))
    return handler


class _Printable(logging.Formatter):
    """Lines without control characters: command lines name models."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def main() -> NoReturn:
    """Run the command line and exit."""
    for number in _INTERRUPTIONS:
        signal.signal(number, _interrupt)
    try:
        app(standalone_mode=True)
    except SandboxError as error:
        print(f"edge-sandbox: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except _Interrupted:
        print("edge-sandbox: interrupted; nothing was left running", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


class _Interrupted(BaseException):
    """Ctrl-C or its like. Not a KeyboardInterrupt: Typer would swallow that and exit without a word."""


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _INTERRUPTIONS:  # what was started is being cleared up: a second Ctrl-C must not stop that
        signal.signal(number, signal.SIG_IGN)
    raise _Interrupted
