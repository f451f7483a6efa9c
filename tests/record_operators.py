"""``python -m tests.record_operators [RUNTIME@VERSION…]``: dump the operator tables of builds into ``compatibility/``.

Every build of a shipped image, asked in that image under emulation: ONNX Runtime lists its kernels; TFLite is given a
model for each operator and version, and one for each operator and type.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tflite  # type: ignore[import-untyped]

from sandbox import process
from sandbox.compatibility.operator_tables import OnnxKernel, OnnxTable, TfliteOperator, TfliteTable
from sandbox.image.spec import load_lock, load_spec
from sandbox.resources import data_directory
from sandbox.zoo.flatbuffer import TfliteFile

from .zoo import one_operator

_PROGRAMS = Path(__file__).parent / "programs"
_DEVICES = {
    "bookworm-arm64": "rpi4b",
    "trixie-arm64": "rpi4b",
    "bullseye-arm64": "rpi4b",
    "bookworm-armhf": "rpi4b",
}
_PACKAGES = {"tflite-runtime": "tflite_runtime", "ai-edge-litert": "ai_edge_litert"}
_NOT_OPERATORS = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
_MORE = (("bookworm-arm64", "onnxruntime", "1.20.1"),)
_TODAY = datetime.now(timezone.utc).date().isoformat()
_TIMEOUT_SECONDS = 900


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.record_operators", description=__doc__)
    parser.add_argument("builds", nargs="*", metavar="RUNTIME@VERSION", help="default: all")
    wanted = parser.parse_args().builds
    for image, runtime, version in _builds():
        if not wanted or f"{runtime}@{version}" in wanted:
            table = dump(image, runtime, version)
            path = data_directory("compatibility") / "operators" / f"{runtime}-{version}-{table.architecture}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_rows(table.model_dump_json(indent=1, exclude_defaults=True)))
            sys.stdout.write(f"{path.name}: {len(table.operators)} operators\n")


def dump(image: str, runtime: str, version: str, only: Collection[str] | None = None) -> TfliteTable | OnnxTable:
    """The table of a build, asked in its image. ``only``: of TFLite no other operators."""
    architecture = load_spec(image, data_directory("images")).architecture
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-operators-") as folder:
        share = Path(folder)
        if runtime == "onnxruntime":
            _write_onnx(share)
            return onnx_table(_ask(image, runtime, version, share, "onnx_operators.py"), architecture, image)
        _write_tflite(share, only)
        said = _ask(image, runtime, version, share, "tflite_operators.py", _PACKAGES[runtime])
    return TfliteTable(
        runtime=runtime,
        version=version,
        architecture=architecture,
        image=image,
        recorded=_TODAY,
        custom=tuple(
            name
            for name in one_operator.CUSTOM
            if "unresolved custom op" not in said["types"].get(f"{name}.custom", "unresolved custom op")
        ),
        operators=tuple(
            TfliteOperator(
                type=name,
                versions=tuple(versions),
                dtypes={
                    key.rpartition(".")[2]: outcome
                    for key, outcome in said["types"].items()
                    if key.rpartition(".")[0] == name
                },
            )
            for name, versions in said["versions"].items()
            if versions
        ),
    )


def onnx_table(said: dict[str, Any], architecture: str, image: str) -> OnnxTable:
    """Kernels of one version range and provider become one row."""
    rows: dict[tuple[str, str, int, int, str], set[str] | None] = {}
    for kernel in said["kernels"]:
        key = (kernel["type"], kernel["domain"], kernel["since"], kernel["until"], kernel["provider"])
        dtypes = {_dtype(name) for name in kernel["dtypes"]} if kernel["dtypes"] else None
        known = rows.get(key, set())
        rows[key] = None if dtypes is None or known is None else known | dtypes
    return OnnxTable(
        runtime="onnxruntime",
        version=said["version"],
        architecture=architecture,
        image=image,
        recorded=_TODAY,
        ir_version=said["ir_version"],
        opset=said["opset"],
        providers=tuple(said["providers"]),
        operators=tuple(
            OnnxKernel(
                type=kind,
                domain=domain,
                since=since,
                until=None if until == np.iinfo(np.int32).max else until,
                provider=provider,
                dtypes=None if dtypes is None else tuple(sorted(dtypes)),
            )
            for (kind, domain, since, until, provider), dtypes in sorted(rows.items())
        ),
    )


def _dtype(name: str) -> str:
    """``tensor(float)`` as our graph names it."""
    inner = re.fullmatch(r"tensor\((\w+)\)", name)
    if inner is None:
        return name
    return {"float": "float32", "double": "float64"}.get(inner[1], inner[1])


def _ask(image: str, runtime: str, version: str, share: Path, program: str, *words: str) -> dict[str, Any]:
    (share / program).write_text((_PROGRAMS / program).read_text())
    argv = [str(Path(sys.executable).with_name("edge-sandbox")), "shell", "--device", _DEVICES[image], "--os", image]
    argv += ["--runtime", f"{runtime}@{version}", "--share", str(share), "--timeout", f"{_TIMEOUT_SECONDS}s"]
    done = process.run([*argv, "--", "python3", program, *words], timeout=_TIMEOUT_SECONDS + 60)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"')]
    if done.returncode != 0 or not lines:
        sys.exit(f"{runtime} {version} on {image}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _write_onnx(folder: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "one", [value], [result])
    for name, ir_version, opset in (("ir", 999, 13), ("opset", 8, 999)):
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        model.ir_version = ir_version
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())


def _write_tflite(folder: Path, only: Collection[str] | None) -> None:
    file = TfliteFile("one operator code")
    value = file.tensor("x", "float32", (1,))
    file._codes.append(("AVERAGE_POOL_2D", 7))
    content = bytearray(file.finish([value], [value]))
    code = tflite.Model.GetRootAs(content, 0).OperatorCodes(0)
    places = {"deprecated_code_at": 4, "version_at": 8, "code_at": 10}
    # a builtin of number 0 is the default, which the writer leaves out: so the template has another, 1
    template = {name: code._tab.Pos + code._tab.Offset(slot) for name, slot in places.items()}
    operators = {
        name: number
        for name, number in vars(tflite.BuiltinOperator).items()
        if isinstance(number, int) and name not in _NOT_OPERATORS and (only is None or name in only)
    }
    document = {"model": base64.b64encode(content).decode(), "operators": operators, **template}
    (folder / "template.json").write_text(json.dumps(document))
    (folder / "models").mkdir()
    for name, model in one_operator.models():
        if only is None or name.partition(".")[0] in only:
            (folder / "models" / f"{name}.tflite").write_bytes(model)


def _builds() -> Iterator[tuple[str, str, str]]:
    images, seen = data_directory("images"), set()
    for image in _DEVICES:
        for wheel in load_lock(image, images).wheels:
            build = (wheel.name, wheel.version, load_spec(image, images).architecture)
            if build not in seen and wheel.runtime == f"{wheel.name}-{wheel.version}":
                seen.add(build)
                yield image, wheel.name, wheel.version
    yield from _MORE


def _rows(text: str) -> str:
    """One row of the table on each line."""
    text = re.sub(r"\n {3,}", " ", text)
    return re.sub(r"\n  (?=[\]}])", "", text).replace("{ ", "{").replace("[ ", "[") + "\n"


if __name__ == "__main__":
    main()
