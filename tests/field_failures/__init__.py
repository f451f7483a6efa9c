"""Failures from the field, each a file in ``cases``: the reports, the cause, and runs that make it happen here.

A run is a profile of a small model on a device of ours, with the runtime build that failed, and says how the verdict
must end. Runs that are ``control = true`` differ from the failing one in the thing that the cause names, and pass.
``python -m tests.field_failures`` runs them all and writes ``docs/field_failures.md`` with what the tool printed.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


CASES = Path(__file__).parent / "cases"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Run(_Frozen):
    """One profile or check, and what it must say."""

    command: Literal["profile", "check"] = "profile"
    what: str
    """A phrase for the page."""
    control: bool = False
    model: str
    """A name that `tests.zoo` knows, or a file in ``examples/``."""
    device: str
    """Its id, or a file in ``devices/``."""
    os: str | None = None
    runtime: str | None = None
    requires: tuple[str, ...] = ()
    """Wheels that are installed beside the runtime, as ``name==version``."""
    memory: str | None = None
    operators: bool = False
    """Whether the operators are looked at one by one, in a second run."""
    exit_code: int
    check: str | None = None
    """The check that must have failed or, where the model still runs, warned; None where none did."""
    says: tuple[str, ...] = ()
    """What reasons and next steps must contain."""

    @property
    def command_line(self) -> str:
        """The same as a command, for people."""
        words = ["edge-sandbox", self.command, self.model, "--device", self.device]
        for option, value in (("--os", self.os), ("--runtime", self.runtime), ("--memory", self.memory)):
            words += [option, value] if value else []
        return " ".join(words)


class Case(_Frozen):
    """One failure."""

    id: str
    title: str
    reports: tuple[str, ...] = Field(min_length=1)
    symptom: str
    """What people saw, in the words of the report."""
    cause: str
    runs: tuple[Run, ...] = Field(min_length=1)


@functools.cache
def cases() -> tuple[Case, ...]:
    """All cases, by id."""
    return tuple(read(path) for path in sorted(CASES.glob("*.toml")))


def read(path: Path) -> Case:
    """One case; its id is the start of its file's name."""
    document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return Case.model_validate({"id": path.name.partition("_")[0].upper(), **document})
