"""The checks as JUnit XML, which CI services show: one test case for each; what is unknown was skipped.

The format is the one that Jenkins publishes a schema of and that GitLab, GitHub's report actions and Azure read.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import PurePath

from sandbox.check_result import CheckResult
from sandbox.metrics import Quantity
from sandbox.result import Check, Result

from .figures import figure
from .layout import clean

_TIME = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d", re.ASCII)
"""The schema's time has no zone: the document's are UTC."""


def render(result: Result | CheckResult) -> str:
    """The report as XML. Control characters, which XML cannot hold, are shown."""
    checks = result.checks
    failed = sum(check.status == "fail" for check in checks)
    skipped = sum(check.status in {"unknown", "skipped"} for check in checks)
    counts = {"tests": str(len(checks)), "failures": str(failed), "errors": "0", "skipped": str(skipped), "time": "0"}
    root = ET.Element("testsuites", {"name": "edge-sandbox", **counts})
    model, device = PurePath(result.model.path).name, result.device
    attributes = {"name": clean(f"{model} on {device.id}"), **counts}
    if isinstance(result, Result) and (started := _TIME.match(result.started)):
        attributes["timestamp"] = started[0]
    suite = ET.SubElement(root, "testsuite", attributes)
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(result):
        ET.SubElement(properties, "property", {"name": name, "value": clean(value)})
    for check in checks:
        _case(suite, check, f"edge-sandbox.{device.id}.{model}")
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, check: Check, name: str) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": clean(name), "name": check.id, "time": "0"})
    reason = clean(check.reason)
    if check.status == "fail":
        failure = ET.SubElement(case, "failure", {"message": reason, "type": check.id})
        failure.text = clean(check.fix) if check.fix else reason
    elif check.status in {"unknown", "skipped"}:
        ET.SubElement(case, "skipped", {"message": f"{check.status}: {reason}"})
    lines = [f"{check.status}: {reason}", *_numbers((("value", check.value), ("limit", check.limit)))]
    ET.SubElement(case, "system-out").text = "\n".join(lines)


def _numbers(quantities: Sequence[tuple[str, Quantity | None]]) -> list[str]:
    found = [figure(label, quantity) for label, quantity in quantities if quantity is not None]
    texts = [f"{each.text}, {each.mode}" if each.text else f"unavailable, because {each.source}" for each in found]
    return [clean(f"{each.label}: {text}") for each, text in zip(found, texts, strict=True)]


def _properties(result: Result | CheckResult) -> list[tuple[str, str]]:
    kept = [("run", "kept")] if isinstance(result, Result) and result.cached else []
    return [
        *kept,
        ("verdict", result.verdict.status),
        ("edge-sandbox", result.tool.version),
        ("model", result.model.path),
        ("device", result.device.name),
        ("image", f"{result.image.id} {result.image.digest}"),
        ("runtime", f"{result.runtime.name} {result.runtime.version}"),
    ]
