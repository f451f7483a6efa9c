"""JUnit XML: by its schema, one case for each check, unknown is skipped, and any text survives as text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
import xmlschema

from sandbox.reports import junit
from sandbox.reports.layout import clean
from tests import renew
from tests.record_runs import RUNS
from tests.unit.recorded import NAMES, result
from tests.unit.reports.documents import HOSTILE, all_documents, hostile, whole

SCHEMA = xmlschema.XMLSchema((RUNS.parent / "junit.xsd").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_to_the_letter(name: str) -> None:
    expected = (renew.REPORTS / f"{name}.xml").read_text(encoding="utf-8")
    assert junit.render(result(name)) == expected, "if this is what you want, run python -m tests.renew"


@pytest.mark.parametrize("name", ["whole", "bare", "microcontroller", "hostile", "hostile_microcontroller", *NAMES])
def test_it_is_valid_and_has_a_case_for_each_check(name: str) -> None:
    given = all_documents()[name]
    text = junit.render(given)
    SCHEMA.validate(text)
    root = ET.fromstring(text.encode())
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert list(cases) == [check.id for check in given.checks]
    for check in given.checks:
        kinds = {child.tag for child in cases[check.id]}
        outcome = {"fail": {"failure"}, "unknown": {"skipped"}, "skipped": {"skipped"}}.get(check.status, set())
        assert kinds == outcome | {"system-out"}
        assert " ".join(clean(check.reason).split()) in " ".join("".join(cases[check.id].itertext()).split())
    suite = root[0]
    counted = {"failures": len(root.findall(".//failure")), "skipped": len(root.findall(".//skipped"))}
    for node in (root, suite):
        assert {key: int(node.get(key) or -1) for key in counted} == counted
        assert node.get("tests") == str(len(given.checks))


def test_the_schema_refuses_what_is_no_junit() -> None:
    text = junit.render(result("ready"))
    for bad in (
        text.replace("<testcase ", "<case ").replace("</testcase>", "</case>"),
        text.replace(' name="memory"', ""),
        text.replace('failures="0"', 'failures="none"'),
        text.replace("<system-out>", "<surprise/><system-out>", 1),
    ):
        assert bad != text
        with pytest.raises(xmlschema.XMLSchemaException):
            SCHEMA.validate(bad)


def test_texts_stay_texts() -> None:
    found = ET.fromstring(junit.render(hostile()).encode())
    plain = ET.fromstring(junit.render(whole()).encode())
    assert [node.tag for node in found.iter()] == [node.tag for node in plain.iter()]
    values = [node.get("value") or "" for node in found.iter("property")]
    assert any(clean(HOSTILE) in value for value in values)


def test_the_static_check_has_one_too() -> None:
    text = junit.render(renew.example_check())
    SCHEMA.validate(text)
    names = [case.get("name") for case in ET.fromstring(text.encode()).iter("testcase")]
    assert names == [check.id for check in renew.example_check().checks]
