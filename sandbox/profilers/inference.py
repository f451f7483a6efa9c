"""The counted inferences of a job: instructions as a whole, by thread, by class, and the time they take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox import rundir, stats
from sandbox.engines.base import COUNTS
from sandbox.errors import DataFileError
from sandbox.measurements import Counts, ThreadWork
from sandbox.metrics import Metric, Quantity, Unavailable

from .attribution import inferences
from .counts import Marks, Segment, Work, parse_marks, work

_OTHERS = 0.1
"""A thread with less than this part of a percent of the work is a helper of the runtime, not a worker."""


def read_marks(job_dir: Path, report: Mapping[str, Any] | None, stderr: str = "") -> Marks | str:
    """The marks of the runner's process, or why there are none. ``stderr``: where the plugin says what it cannot do."""
    pid = (report or {}).get("pid")
    if type(pid) is not int or not 0 < pid < 1 << 22:  # the kernel has no more
        return "the run ended before it could say what was counted"
    try:
        marks = parse_marks(rundir.read_guest_file(job_dir / COUNTS / f"{pid}.marks"))
    except FileNotFoundError:
        said = re.search(r"edge-sandbox counting plugin: (.{1,200})", stderr)
        return said[1] if said else "the run left no counts: its emulator loads no plugins"
    except OSError as error:
        return f"the counts cannot be read: {error}"
    except DataFileError as error:
        return error.message
    return marks if marks.segments else "the run counted no inference"


def counted_inferences(marks: Marks) -> tuple[Work, ...]:
    """The work of each inference."""
    return tuple(work(marks, segments) for segments in inferences(marks.segments))


def inference_counts(works: Sequence[Work] | str, source: str) -> Counts:
    """The counts of one inference: the mean of all, with the least and the most as its interval."""
    if isinstance(works, str) or not works:
        nothing = Unavailable(unavailable=works if isinstance(works, str) else "the run counted no inference")
        return Counts(instructions=nothing, critical_path=nothing, classes={}, threads=())
    last = works[-1]
    return Counts(
        instructions=_over([each.instructions for each in works], source),
        critical_path=_over([each.critical_path for each in works], source),
        classes=last.classes,
        threads=tuple(
            ThreadWork(thread=thread, instructions=_over([each.by_thread.get(thread, 0) for each in works], source))
            for thread, count in sorted(last.by_thread.items())
            if count * 100 >= last.instructions * _OTHERS
        ),
    )


def instructions(value: int, source: str) -> Quantity:
    """A count as a figure of the result."""
    return Metric(value=value, unit="instruction", mode="emulated", source=source)


def seconds(ticks: int, tick_ns: tuple[int, int]) -> float:
    """What the guest's clock makes of a number of instructions."""
    return ticks * tick_ns[0] / tick_ns[1] / 1e9


def in_order(marks: Marks) -> Sequence[Segment]:
    """The segments of the last inference."""
    found = inferences(marks.segments)
    return found[-1] if found else ()


def _over(values: Sequence[int], source: str) -> Metric:
    mean = stats.mean([float(value) for value in values])
    return Metric(
        value=round(mean), unit="instruction", mode="emulated", low=min(values), high=max(values), source=source
    )
