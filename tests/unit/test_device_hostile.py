"""Whatever a device file holds, the tool's own error comes out."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.device import DeviceSpec, load_device
from sandbox.errors import DataFileError, SandboxError
from tests.unit.specs import MINIMAL, SPECS, write


def loaded_or_refused(name: str) -> DeviceSpec | SandboxError:
    try:
        return load_device(name, SPECS)
    except SandboxError as error:
        return error


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path] * bool(path) + [place for key, below in inner for place in _places(below, (*path, key))]


COMPLETE = MINIMAL | {
    "cpu": MINIMAL["cpu"]
    | {"bogomips": "38.40", "features_64": ["fp"], "sustained_clock_hz": 10**9, "l2_bytes": 2**19},
    "board": {"revision": "a02082", "model": "Board Rev 1"},
    "memory": {"bandwidth_bytes_per_second": 10**9},
    "power": {"idle_watts": 1.4},
    "os": [MINIMAL["os"][0] | {"mem_total_bytes": 2**29, "os_used_bytes": 2**27, "kernel_bits": 64}],
    "sources": {"ram_bytes": "datasheet"},
    "base": "rpi3b",
}
KEYS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | KEYS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
MUTATIONS = st.lists(
    st.tuples(st.sampled_from(_places(COMPLETE)), st.sampled_from(["set", "drop", "rename"]), VALUES, KEYS),
    min_size=1,
    max_size=3,
)


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value if inner is not None] if isinstance(value, list) else value


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
def test_mutated_specs_raise_nothing_but_our_errors(tmp_path: Path, mutations: list[tuple[Any, str, Any, str]]) -> None:
    spec: Any = copy.deepcopy(COMPLETE)
    for place, action, value, key in mutations:
        table = spec
        try:
            for step in place[:-1]:
                table = table[step]
            old = table.pop(place[-1])
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier mutation took the place away
        if isinstance(table, list):
            table.insert(place[-1], value)
        elif action != "drop":
            table[key if action == "rename" else place[-1]] = old if action == "rename" else value
    outcome = loaded_or_refused(write(tmp_path, _without_null(spec)))
    assert isinstance(outcome, DeviceSpec) or not re.search("pydantic|validation error", str(outcome))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode))
def test_random_bytes_raise_nothing_but_our_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "board.toml").write_bytes(content)
    with pytest.raises(DataFileError):
        load_device(str(tmp_path / "board.toml"), SPECS)


@settings(deadline=None)
@given(name=st.text(max_size=300))
def test_random_names_raise_nothing_but_our_errors(name: str) -> None:
    outcome = loaded_or_refused(name)
    assert isinstance(outcome, DeviceSpec) or outcome.hint
