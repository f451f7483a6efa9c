"""Every error the tool raises on purpose, one class per exit code.

A message names the file or field and what is wrong with it; ``hint`` is the next step. ``cli.main`` is the one
place that catches them and turns them into a line on stderr and an exit code.
"""

from __future__ import annotations


class SandboxError(Exception):
    """Base of all expected errors: what happened, and what to do next."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


class UsageError(SandboxError):
    """The command was called wrongly: an unknown device, a bad option value, a wrong ``--input``."""

    exit_code = 2


class DataFileError(SandboxError):
    """A model, device, image, calibration or result file is missing, damaged or of another kind."""

    exit_code = 3


class HostError(SandboxError):
    """This host lacks something the run needs: a network, a namespace, a Docker daemon, disk space."""

    exit_code = 4


class RunError(SandboxError):
    """The run failed for a reason that says nothing about the model or the device."""

    exit_code = 5
