"""A stand-in for the tool that a test can kill: runs one endless job. Arguments: engine, the job's name, a folder."""

from __future__ import annotations

import dataclasses
import sys
import threading
from pathlib import Path
from typing import cast

from sandbox.engines.base import EngineName
from sandbox.engines.guard import guard
from tests import host

from .conftest import ENDLESS, Subject


def main(name: EngineName, token: str, folder: Path) -> None:
    """Run until killed."""
    with guard() as protector:
        subject = Subject(
            name=name, engine=host.make_engine(name, protector), image=host.image_for(name), folder=folder
        )
        job = dataclasses.replace(subject.python(ENDLESS.format(token=token), memory_limit_bytes=200 << 20), name=token)
        subject.run(job, threading.Event())


if __name__ == "__main__":
    main(cast("EngineName", sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
