"""The document as JSON text."""

from __future__ import annotations

import json
import math

import pytest

from sandbox.reports import json as json_report
from sandbox.result import Result
from tests.unit.recorded import NAMES, result
from tests.unit.reports.documents import hostile


@pytest.mark.parametrize("name", NAMES)
def test_standard_json_in_the_schema_s_order(name: str) -> None:
    text = json_report.render(result(name))
    assert text.endswith("}\n")

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    document = json.loads(text, parse_constant=refuse)
    assert list(document) == list(Result.model_fields)
    assert next(iter(document)) == "schema_version"


def test_what_is_absent_is_null_or_has_a_reason_never_missing() -> None:
    document = json.loads(json_report.render(result("timed_out")))
    assert document["latency"]["mean"] == {"unavailable": "the model did not run to its end"}
    assert document["runtime"]["python"] is None
    assert set(document["ops"][0]) == {
        *("index", "type", "name", "dtype", "shape", "delegate", "instructions", "classes", "kernels"),
        *("lines_from_l2", "lines_from_dram", "time", "status", "detail"),
    }
    assert document["ops"][0]["detail"] is None


def test_numbers_lose_nothing() -> None:
    ready = result("ready")
    samples = (0.1, 1 / 3, math.pi * 1e-9)
    changed = ready.model_copy(update={"latency": ready.latency.model_copy(update={"samples": samples})})
    assert tuple(json.loads(json_report.render(changed))["latency"]["samples"]) == samples


def test_names_are_kept_as_they_are_and_control_characters_escaped() -> None:
    ready = result("ready")
    op = ready.ops[0].model_copy(update={"name": 'Über\x1b[2J\n"</script>'})
    text = json_report.render(ready.model_copy(update={"ops": (op,)}))
    assert json.loads(text)["ops"][0]["name"] == 'Über\x1b[2J\n"</script>'
    assert "\x1b" not in text


def test_a_terminal_finds_nothing_to_obey_in_it() -> None:
    text = json_report.render(hostile())
    assert {char for char in text if not char.isprintable()} == {"\n"}
    assert Result.model_validate_json(text) == hostile(), "the value is the same"
    name = "\x9b2J\U000e0001\u2028é漢"
    ready = result("ready")
    named = ready.model_copy(update={"device": ready.device.model_copy(update={"name": name})})
    written = json_report.render(named)
    assert "é漢" in written
    assert written.isascii() is False
    assert json.loads(written)["device"]["name"] == name
