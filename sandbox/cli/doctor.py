"""``edge-sandbox doctor``: what this host can do, what it cannot, and how to mend it."""

from __future__ import annotations

from itertools import chain

import typer

from sandbox.progress import Silent

from .common import MirrorOption, QuietOption, VerboseOption, enter_own_scope, image_builder
from .stderr_progress import StderrProgress

_MARKS = {"ok": "ok      ", "limited": "limited ", "missing": "MISSING "}


def doctor(
    *,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Check this host: emulator, sandbox, memory limits, Docker, archives; and what microcontrollers need.

    Exit code 4 when something is missing without which nothing runs.

    Example: edge-sandbox doctor
    """
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.host import examine  # noqa: PLC0415
    from sandbox.microcontroller.doctor import examine as examine_for_microcontrollers  # noqa: PLC0415

    enter_own_scope()  # as `profile` does: what it finds is what that gets
    vital = False
    with guard() as protector:
        builder = image_builder(mirror, Silent() if quiet else StderrProgress())
        for finding in chain(examine(builder, protector), examine_for_microcontrollers(builder, protector)):
            vital = vital or finding.status == "missing"
            typer.echo(f"{_MARKS[finding.status]}{finding.subject:<15} {finding.detail}")
            if finding.hint and finding.status != "ok":
                typer.echo(f"{'':<24}next: {finding.hint}")
    if vital:
        raise typer.Exit(4)
