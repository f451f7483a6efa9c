"""What mkdocs adds to docs/: the reference, made from the code, and pages that lie beside what they tell of.

Called by mkdocs (``hooks`` in mkdocs.yml). Nothing here is kept in the repository, so nothing can be out of date.
"""

from __future__ import annotations

import ast
import html
import inspect
import posixpath
import re
import signal
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer.cli
import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel

from sandbox import ceiling_result, check_result, comparison, result, verdict
from sandbox.cli.main import app
from sandbox.device import available_devices, load_device
from sandbox.microcontroller.board import available_boards, load_board
from sandbox.units import format_size

_ROOT = Path(__file__).parent
_BESIDE = {
    "device_specs/README.md": "reference/device_specs.md",
    "calibration/measured/README.md": "reference/measured.md",
}
"""Pages that lie outside docs/, by where they go."""
_LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {
        "reference/cli.md": _commands(),
        "reference/devices.md": "\n".join(_devices()),
        "reference/errors.md": "\n".join(_errors()),
        "reference/result.md": _document(result.Result, "The result document", "result.schema.json"),
        "reference/comparison.md": _document(comparison.Comparison, "The comparison document", "compare.schema.json"),
        "reference/check.md": _document(check_result.CheckResult, "The check document", "check.schema.json"),
        "reference/ceiling.md": _document(ceiling_result.CeilingResult, "The ceiling document", "ceiling.schema.json"),
    }
    made |= {target: (_ROOT / source).read_text(encoding="utf-8") for source, target in _BESIDE.items()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Lead links out of docs/ to where those pages are here; what is no page is named by its place."""
    folder = posixpath.dirname(page.file.src_uri)

    def here(match: re.Match[str]) -> str:
        text, target = match[1], posixpath.normpath(posixpath.join("docs", folder, match[2]))
        if target.startswith("docs/"):
            return match[0]
        if target in _BESIDE:
            return f"[{text}]({posixpath.relpath(_BESIDE[target], folder or '.')}{match[3] or ''})"
        return text if target in text else f"{text} (`{target}` in the repository)"

    return _LINK.sub(here, markdown)


def _commands() -> str:
    command = typer.main.get_command(app)
    text: str = typer.cli.get_docs_for_click(obj=command, ctx=typer.Context(command), name="edge-sandbox")
    return text.replace("# `edge-sandbox`", "# Commands", 1)


def _devices() -> Iterator[str]:
    yield "# Devices\n"
    yield "Every fact with its source: `edge-sandbox devices show ID`. A device of your own: "
    yield "[device specs](device_specs.md).\n"
    yield "| id | device | cores | RAM | OS images |"
    yield "| --- | --- | --- | --- | --- |"
    directory = _ROOT / "device_specs"
    for name in available_devices(directory):
        device = load_device(name, directory)
        cpu = f"{device.cpu.cores} × {device.cpu.core}, {device.cpu.clock_hz / 1e9:.1f} GHz"
        images = ", ".join(os.image for os in device.os)
        yield f"| `{name}` | {device.name} | {cpu} | {format_size(device.ram_bytes)} | {images} |"
    yield "\n## Microcontrollers\n"
    yield "| id | board | core | RAM | flash |"
    yield "| --- | --- | --- | --- | --- |"
    for name in available_boards(directory):
        board = load_board(name, directory)
        cpu = f"{board.cpu.core}, {board.cpu.clock_hz / 1e6:g} MHz"
        sizes = f"{format_size(board.ram_bytes)} | {format_size(board.flash_bytes)}"
        yield f"| `{name}` | {board.name} | {cpu} | {sizes} |"


def _errors() -> Iterator[str]:
    yield "# Errors on the device\n"
    yield "What a runtime says when a model fails, which check that fails, and the first thing to do about it. The"
    yield "patterns are those that `edge-sandbox` looks for; `{0}` and `{1}` are what it found in their groups.\n"
    yield "## Messages\n"
    yield "| the runtime says | check | first |"
    yield "| --- | --- | --- |"
    for known in verdict._MESSAGES:  # noqa: SLF001  # the table is the program's own
        pattern = html.escape(known.pattern.pattern).replace("|", "&#124;").replace("\\", "&#92;")
        yield f"| <code>{pattern}</code> | {known.check} | {known.fix} |"
    yield "\n## Signals\n"
    yield "| signal | check | first |"
    yield "| --- | --- | --- |"
    for number, (check, fix) in verdict._SIGNAL_FIXES.items():  # noqa: SLF001
        yield f"| {signal.Signals(number).name} | {check} | {fix} |"
    yield "\n## Exit codes\n"
    yield from _exit_codes()


def _exit_codes() -> Iterator[str]:
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"\| exit code .*?\n\n", readme, re.DOTALL)
    if table is None:
        raise ValueError("README.md has no table of exit codes")
    yield table[0]


def _document(model: type[BaseModel], title: str, schema: str) -> str:
    """The classes of a document, each as a table; ``schema`` is its JSON Schema in docs/."""
    parts = [f"# {title}\n", f"JSON Schema: [{schema}](../{schema}).\n", (inspect.getdoc(model) or "") + "\n"]
    for each in _classes(model):
        parts.append(f"## {each.__name__}\n\n{inspect.getdoc(each) or ''}\n")
        parts.append("| field | type | meaning |\n| --- | --- | --- |")
        notes = _notes(each)
        for name, field in each.model_fields.items():
            parts.append(f"| `{name}` | {_type(field.annotation)} | {notes.get(name, '')} |")
        parts.append("")
    return "\n".join(parts)


def _classes(model: type[BaseModel], known: dict[type[BaseModel], None] | None = None) -> dict[type[BaseModel], None]:
    found = {} if known is None else known
    if model not in found:
        found[model] = None
        for field in model.model_fields.values():
            for part in _parts(field.annotation):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    _classes(part, found)
    return found


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(part) for part in arguments)
    if origin is tuple:
        inner = [_type(part) for part in arguments if part is not ...]
        return f"list of {inner[0]}" if ... in arguments else f"[{', '.join(inner)}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if origin is not None:
        return "object" if issubclass(origin, dict) or origin.__name__ == "Mapping" else _type(arguments[0])
    return {"NoneType": "null", "str": "text", "int": "integer", "float": "number"}.get(
        getattr(annotation, "__name__", ""), getattr(annotation, "__name__", "any")
    )


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """The sentence below each field in the source."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    if not isinstance(node, ast.ClassDef):
        raise TypeError(f"{model} is no class")
    notes = {}
    for field, text in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            notes[field.target.id] = " ".join(str(text.value.value).split()).replace("``", "`")
    return notes
