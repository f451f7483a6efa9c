"""What a Python program that could leave no report said last: the error that its traceback on stderr ends in. Pure."""

from __future__ import annotations

import re

_LONGEST = 20_000
_HEAD = "Traceback (most recent call last):"
_ERROR = re.compile(r"^(?:\w+\.)*(\w+)(?:: ?(.*))?\Z", re.DOTALL)


def last_raised(stderr: str) -> tuple[str, str] | None:
    """(type, message) of the last traceback's error, named as the guest's runner does; ``None`` without a traceback.

    Of chained errors the last one counts: it is what ended the program.
    """
    _before, head, trace = stderr[-_LONGEST:].rpartition(_HEAD)
    lines = trace.splitlines()
    while lines and (not lines[0].strip() or lines[0].startswith(" ")):  # frames and their source lines are indented
        del lines[0]
    match = _ERROR.match("\n".join(lines)) if head else None
    if match is None:
        return None
    kind, message = match[1], (match[2] or "").strip()
    return "MemoryError" if kind.endswith("MemoryError") else kind, message or kind  # NumPy's is a subclass
