"""Rules that the tree keeps as a whole: which module may import which, who prints, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROJECT = Path(__file__).parents[2]
SOURCES = sorted((PROJECT / "sandbox").rglob("*.py"))

#: A module imports from its own line and the lines above. A package stands for all that it holds and that has no line
#: of its own.
LAYERS = (
    (
        "errors",
        "units",
        "metrics",
        "stats",
        "progress",
        "resources",
        "process",
        "bisection",
        "json_file",
        "isa",
        "known_versions",
        "last_words",
    ),
    ("graph", "device_file", "device_errors", "image", "native", "zoo"),
    ("device", "microcontroller.board"),
    (
        "record",
        "measurements",
        "engines.base",
        "compatibility_result",
        "microcontroller.outcome",
        "durations",
        "parity",
    ),
    ("budget", "plan", "rundir", "static", "compatibility"),
    ("microcontroller.elf", "microcontroller.job"),
    ("engines",),
    ("profilers", "calibration", "measured", "model_counts", "host"),
    ("lines", "choice"),
    ("left_out",),
    ("fit",),
    ("relate", "across"),
    ("frames",),
    ("fit_files", "measurement", "host_device", "result", "check_result", "ceiling_result"),
    ("comparison", "transfers"),
    ("verdict", "out_of_memory", "memory_notes", "heap", "illegal_instruction", "compatibility_checks", "numpy_clash"),
    ("microcontroller.firmware_result",),
    ("estimate", "analysis", "regression"),
    ("reports",),
    ("microcontroller",),
    ("pipeline", "check", "ceiling", "shell", "run_cache"),
    ("parity_run", "kept"),
    ("compare",),
    ("suite", "board"),
    ("own_fit",),
    ("cli", "library"),
)
RANKS = {f"sandbox.{name}": rank for rank, names in enumerate(LAYERS) for name in names}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


def rank(module: str) -> int:
    """The line of the module in `LAYERS`."""
    name = module
    while name not in RANKS:
        name, _, _last = name.rpartition(".")
        assert name, f"{module} has no place in LAYERS: give it one"
    return RANKS[name]


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of ours that a module imports, anywhere in it."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {name if (name := f"{base}.{alias.name}") in MODULES else base for alias in node.names}
    return frozenset(name for name in found if name.partition(".")[0] == "sandbox") - {"sandbox", module}


def test_the_tree_is_read() -> None:
    assert {"sandbox.errors", "sandbox.graph", "sandbox.engines.local", "sandbox.pipeline"} <= set(MODULES)
    assert {"sandbox.process", "sandbox.image.emulator", "sandbox.engines.base"} <= imports("sandbox.engines.local")
    assert {"sandbox.engines.memory_limit", "sandbox.process"} <= imports("sandbox.engines.guard")
    assert "sandbox.rundir" in imports("sandbox.pipeline")
    assert "sandbox.graph.tflite" in imports("sandbox.graph")


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"sandbox"}))
def test_imports_point_up(module: str) -> None:
    below = sorted(name for name in imports(module) if rank(name) > rank(module))
    assert not below, f"{module} imports {', '.join(below)}, which is further down in LAYERS"
    unknown = sorted(imports(module) - MODULES.keys())
    assert not unknown, f"{module} imports {', '.join(unknown)}, which is not there"


def test_no_circles() -> None:
    """A package and the modules inside it may know each other: the package is their front."""
    edges = {
        module: {name for name in imports(module) if not name.startswith(f"{module}.")} for module in sorted(MODULES)
    }
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail("imports go round: " + " → ".join(reversed(error.args[1])))


@pytest.mark.subprocess
def test_the_package_itself_imports_nothing_of_ours_before_it_is_asked_for_something() -> None:
    assert imports("sandbox") == {"sandbox.library"}
    code = "import sandbox, sys; print([name for name in sys.modules if name.startswith('sandbox.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_only_commands_and_reports_print(path: Path) -> None:
    if module_name(path).startswith(("sandbox.cli", "sandbox.reports")):
        return
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not lines, f"{path.name} prints in line {lines[0]}"


def tracked_texts() -> Iterator[tuple[str, str]]:
    """(name, content) of every text file under version control."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a checkout")
    for name in listed.stdout.decode().split("\0"):
        path = PROJECT / name
        if name and path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode(errors="replace")


def configured_hosts() -> set[str]:
    """Hosts of the package archives and indexes that this machine is set up with."""
    home, apt = Path.home(), Path("/etc/apt")
    texts = [path.read_text(errors="replace") for path in (*apt.glob("*.list"), *apt.glob("sources.list.d/*"))]
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    texts += [line for line in pip.splitlines() if "index-url" in line or "find-links" in line]
    npm = [path.read_text(errors="replace") for path in (home / ".npmrc", Path("/etc/npmrc")) if path.is_file()]
    texts += [line for text in npm for line in text.splitlines() if "registry" in line]
    hosts = {urlsplit(address).hostname or "" for text in texts for address in re.findall(r"https?://[^\s'\",]+", text)}
    return {host for host in hosts if "." in host and host != "127.0.0.1"}


@pytest.mark.subprocess
def test_no_file_names_an_archive_or_index_of_this_machine() -> None:
    hosts = configured_hosts()
    if not hosts:
        pytest.skip("neither apt nor pip nor npm of this machine names a host")
    found = [f"{name}: {host}" for name, text in tracked_texts() for host in hosts if host in text]
    assert not found


@pytest.mark.subprocess
def test_no_file_holds_a_path_of_a_developer_s_machine() -> None:
    own = [str(folder) for folder in (PROJECT.resolve(), Path.home()) if len(folder.parts) > 2]
    homes = re.compile(r"(?<![\w.])/(?:home|Users)/(?!me\b|pi\b|user\b)[a-z][\w.-]*/|[A-Z]:\\Users\\|/root/\.")
    found = [
        f"{name}: {hit}"
        for name, text in tracked_texts()
        for hit in [*homes.findall(text), *(folder for folder in own if re.search(rf"{re.escape(folder)}\b", text))]
    ]
    assert not found
