"""What the runner's sources must keep to so that every guest can run them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.unit.guest.guest_modules import GUEST

SOURCES = sorted(GUEST.glob("*.py"))
OWN = {path.stem for path in SOURCES}
#: The runtimes themselves are imported by name, at run time.
THIRD_PARTY = {"numpy"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_imports_only_what_a_guest_has(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= OWN | THIRD_PARTY | set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_is_python_3_9(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    assert "from __future__ import annotations" in text
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    assert not [option for option in ("kw_only=", "slots=") if option in text], "dataclass options of Python 3.10"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_stays_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("name", ["runner", "phases", "report", "request"])
def test_the_main_line_imports_numpy_only_in_its_phase(name: str) -> None:
    tree = ast.parse((GUEST / f"{name}.py").read_text(encoding="utf-8"))
    eager = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not eager & {"numpy", "inputs", "outputs", "backend"}
