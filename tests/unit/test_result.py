"""The document: what is written reads back the same, other versions are refused, the published schema is current."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sandbox.errors import DataFileError
from sandbox.reports import json as json_report
from sandbox.result import SCHEMA_VERSION, parse_result, schema
from tests import renew
from tests.unit.recorded import NAMES, result

ORIGIN = Path("result.json")


def document(name: str = "ready") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json_report.render(result(name)))
    return loaded


def refusal(text: str) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        parse_result(text, ORIGIN)
    assert caught.value.hint
    assert caught.value.message.startswith("result.json")
    return caught.value


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str) -> None:
    assert parse_result(json_report.render(result(name)), ORIGIN) == result(name)


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_other_versions_are_refused_with_the_next_step(version: object) -> None:
    error = refusal(json.dumps({**document(), "schema_version": version}))
    assert error.message == f"result.json: schema_version is {version!r}, this edge-sandbox reads 1"
    assert error.hint == "make the result again with this version, or read it with the version that wrote it"


def test_a_version_is_looked_at_before_anything_else() -> None:
    assert "schema_version is 2" in refusal('{"schema_version": 2, "all": "is different"}').message


@pytest.mark.parametrize("text", ["", "{", "\x00", "peak 39.2 MB", "[" * 100_000, '{"a": ' * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    error = refusal(text)
    assert "is not a result document" in error.message
    assert error.hint == "give a --format json file"


@pytest.mark.parametrize("text", ["[]", "null", '"text"', "{}"])
def test_what_is_no_document_is_refused(text: str) -> None:
    assert "schema_version is None" in refusal(text).message


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("device", "cores"), "four", "device.cores: Input should be a valid integer"),
        (
            ("verdict", "status"),
            "fine",
            "verdict.status: Input should be 'ready', 'marginal', 'not_ready' or 'unknown'",
        ),
        (("memory", "weights", "value"), float("nan"), "memory.weights.Metric.value: Input should be a finite number"),
        (("memory", "weights", "unit"), "furlong", "memory.weights.Metric.unit: "),
        (("latency", "p95"), {"unavailable": ""}, "latency.p95."),
        (("latency", "p95"), 0, "latency.p95."),
        (("tool", "surprise"), 1, "tool.surprise: Extra inputs are not permitted"),
        (("model", "path"), "\ud800", "the file: Invalid JSON"),
    ],
)
def test_a_wrong_value_is_named(path: tuple[str, ...], value: object, problem: str) -> None:
    whole = document()
    table: Any = whole
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    assert refusal(json.dumps(whole)).message.startswith(f"result.json: {problem}")


@pytest.mark.parametrize("key", sorted(set(json.loads(renew.published_schema())["required"])))
def test_no_key_is_ever_missing(key: str) -> None:
    whole = document()
    del whole[key]
    assert refusal(json.dumps(whole)).message == f"result.json: {key}: Field required"


def test_the_published_schema_is_current() -> None:
    published = renew.SCHEMA.read_text(encoding="utf-8")
    assert json.loads(published) == schema(), "run python -m tests.renew"
    assert published == renew.published_schema(), "run python -m tests.renew"


def test_the_schema_is_a_schema() -> None:
    published = schema()
    jsonschema.Draft202012Validator.check_schema(published)
    assert published["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert published["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_run_keeps_to_the_published_schema(name: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(renew.SCHEMA.read_text(encoding="utf-8")))
    whole = document(name)
    validator.validate(whole)
    for change in ({"schema_version": 2}, {"surprise": 1}, {"verdict": {"status": "fine", "reasons": []}}):
        assert not validator.is_valid({**whole, **change})


BARE = {  # counts, identities, sizes of files, raw samples, points of plots, parts of the instructions beside them
    *("schema_version", "size_bytes", "cores", "page_size_bytes", "ram_bytes", "threads", "index", "shape"),
    *("samples", "timeline", "host", "classes", "rows", "error"),
}


def bare_numbers(value: object, path: str = "") -> Iterator[str]:
    """Where a number stands by itself, without unit and mode."""
    if isinstance(value, dict):
        if {"value", "unit", "mode"} <= value.keys():
            return
        for key, inner in value.items():
            yield from bare_numbers(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from bare_numbers(inner, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path


@pytest.mark.parametrize("name", NAMES)
def test_every_number_says_how_it_was_got(name: str) -> None:
    assert not [path for path in bare_numbers(document(name)) if not BARE & set(path.split("."))]
