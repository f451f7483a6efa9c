"""``python -m tests.renew``: write every committed file that is made from the code or from the recorded runs.

These are the published schema, the picture, and the reports that tests compare with. Read the difference before you
commit it: that is the test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sandbox.analysis import analyse
from sandbox.reports import terminal
from sandbox.result import schema

from . import picture
from .record_runs import PROJECT, RECORDINGS, RUNS

SCHEMA = PROJECT / "docs" / "result.schema.json"
REPORTS = PROJECT / "tests" / "data" / "reports"


def made() -> Mapping[Path, str]:
    """Every such file with what belongs in it."""
    reports = {REPORTS / f"{name}.txt": terminal.render(analyse(RUNS / name)) for name in RECORDINGS}
    return {SCHEMA: published_schema(), picture.PICTURE: picture.draw(), **reports}


def published_schema() -> str:
    return json.dumps(schema(), indent=1) + "\n"


def main() -> None:
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
