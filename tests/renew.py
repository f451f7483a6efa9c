"""``python -m tests.renew``: write every committed file that is made from the code or from the recorded runs.

These are the published schemas, the picture, and the reports that tests compare with. Read the difference before you
commit it: that is the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox import ceiling_result, check_result, comparison
from sandbox.analysis import analyse
from sandbox.check import CheckRequest, check
from sandbox.microcontroller import firmware_result
from sandbox.reports import check_terminal, junit, markdown, terminal
from sandbox.result import Result, schema

from . import picture
from .record_runs import PROJECT, RECORDINGS, RUNS

SCHEMA = PROJECT / "docs" / "result.schema.json"
CEILING_SCHEMA = PROJECT / "docs" / "ceiling.schema.json"
COMPARE_SCHEMA = PROJECT / "docs" / "compare.schema.json"
FIRMWARE_SCHEMA = PROJECT / "docs" / "firmware.schema.json"
CHECK_SCHEMA = PROJECT / "docs" / "check.schema.json"
REPORTS = PROJECT / "tests" / "data" / "reports"
CHECK_REPORT = REPORTS / "check.txt"


def made() -> Mapping[Path, str]:
    """Every such file with what belongs in it."""
    results = {name: analyse(RUNS / name) for name in RECORDINGS}
    renderers: tuple[tuple[str, Callable[[Result], str]], ...] = (
        ("txt", terminal.render),
        ("md", markdown.render),
        ("xml", junit.render),
    )
    reports = {
        REPORTS / f"{name}.{ending}": render(result) for name, result in results.items() for ending, render in renderers
    }
    checks = {
        CEILING_SCHEMA: json.dumps(ceiling_result.schema(), indent=1) + "\n",
        COMPARE_SCHEMA: json.dumps(comparison.schema(), indent=1) + "\n",
        CHECK_SCHEMA: json.dumps(check_result.schema(), indent=1) + "\n",
        FIRMWARE_SCHEMA: json.dumps(firmware_result.schema(), indent=1) + "\n",
        CHECK_REPORT: check_terminal.render(example_check()),
    }
    return {SCHEMA: published_schema(), picture.PICTURE: picture.draw(), **checks, **reports}


def published_schema() -> str:
    return json.dumps(schema(), indent=1) + "\n"


def example_check() -> check_result.CheckResult:
    """The static check of the first example."""
    return check(CheckRequest(model=PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite", device="rpi4b"))


def main() -> None:
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
