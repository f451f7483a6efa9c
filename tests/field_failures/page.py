"""``docs/field_failures.md``: what each case says, and what the tool printed when it was last replayed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from . import Case, Run, cases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "field_failures.md"
_HEAD = """\
# Failures from the field

Reports of models that ran on a laptop and not on the device, each made to happen again: the real runtime build in the
real image, with the tool's verdict. Sizes, times and addresses differ from host to host and are left out (…). This page
is made from [tests/field_failures/cases](../tests/field_failures/cases) by `python -m tests.field_failures`; a new case
is one file there.
"""
_NOT_HERE = {
    "B7, GLIBC and GLIBCXX of older systems": "Mendel, Ubuntu 18.04, CentOS 7 and Debian Jessie have no image here. "
    "B2 is the same failure on the oldest that has one; `check` reads the needs of any wheel.",
    "D5, the free arena shrinks as the arena grows": "it is the text of a temporary allocation in one build of TFLM. "
    "The search for the arena reads no such text: only whether the model runs counts, and sizes above it must run too.",
    "D8, a graceful end when memory is short": "a wish for the runtime. D1 and D2 are what is told instead.",
    "F2, affinity of threads is refused": "it depends on how many processors the host has. Every run names the "
    "number of threads, for which ONNX Runtime sets no affinity.",
    "F3, F4, `/proc/cpuinfo`, `/proc/meminfo` and the core count of the host": "no failure of a model: every run sees "
    "the device's own files, which the tests of all engines look at.",
    "G, crashes of the emulator": "the bad versions are not installed: pinned by `test_emulator_pins.py`.",
    "H1, H2, H3, times that disagree": "they compare boards, and no board is here. What each time rests on, and its "
    "error, stands beside it.",
    "H4, a profile of zeros": "it is a board without a timer. Instructions are counted here, and what was not counted "
    "is unavailable, never 0.",
    "Unaligned access (SIGBUS), thermal limits, GPU and NPU delegates": "user-mode emulation has none of them.",
}
"""Reports that are no case, and why."""


def key(case: Case, run: Run) -> str:
    """What a run's text is kept under."""
    return f"{case.id}: {run.what}"


def write(printed: Mapping[str, str]) -> str:
    """The page, with the printed texts by `key`. Controls print nothing that matters."""
    return _HEAD + "".join(_section(case, printed) for case in cases()) + _not_here()


def printed_in(page: str) -> dict[str, str]:
    """The texts that a page holds, by `key`."""
    found = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        case = section.partition(".")[0]
        for what, text in re.findall(
            r"^\*\*(.+?)\*\*: `[^`]*`.*?\n\n```text\n(.*?)\n```$", section, re.DOTALL | re.MULTILINE
        ):
            found[f"{case}: {what}"] = text
    return found


def _section(case: Case, printed: Mapping[str, str]) -> str:
    lines = [f"\n## {case.id}. {case.title}\n", case.cause.strip() + "\n"]
    lines.append("Reported: " + ", ".join(_link(report) for report in case.reports) + ", in these words:\n")
    lines.append(f"```text\n{case.symptom.strip()}\n```\n")
    lines += [
        f"**{run.what}**: `{run.command_line}`{_beside(run)}\n\n```text\n{printed[key(case, run)]}\n```\n"
        for run in case.runs
        if not run.control
    ]
    if controls := [run for run in case.runs if run.control]:
        lines.append("Ready, as it should be:\n")
        lines += [f"- {run.what}: `{run.command_line}`{_beside(run)}" for run in controls]
        lines.append("")
    return "\n".join(lines)


def _not_here() -> str:
    rows = "".join(f"- {what}: {why}\n" for what, why in _NOT_HERE.items())
    return f"\n## Not replayable here, because\n\n{rows}"


def _beside(run: Run) -> str:
    return f" with {', '.join(run.requires)} beside it" if run.requires else ""


def _link(address: str) -> str:
    match = re.fullmatch(r"https://github\.com/([^/]+/[^/]+)/(?:issues|pull)/(\d+)", address)
    return f"[{match[1]}#{match[2]}]({address})" if match else f"<{address}>"
