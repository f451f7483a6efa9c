"""``python -m tests.record_runs [NAME…]``: record the runs in ``tests/data/runs`` anew, with the local engine.

Each is one `edge-sandbox profile` in a scratch folder that holds the example models and the model made for it, so
that a record names no folder of this machine.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import zoo

PROJECT = Path(__file__).resolve().parents[1]
RUNS = PROJECT / "tests" / "data" / "runs"
_COMMAND = Path(sys.executable).with_name("edge-sandbox")
_UNREAD = ("outputs.npz", "*.counts")
"""The model's outputs, and counts of whole processes: nothing of a run folder is made from them."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A run to record: what to profile and how it ends."""

    model: str
    """A file in ``examples/``, or a name that `tests.zoo` knows."""
    options: tuple[str, ...] = ()
    exit_code: int = 1
    device: str = "rpi4b"
    engine: str = "local"

    def command(self, folder: str) -> tuple[str, ...]:
        """The command line after ``edge-sandbox``."""
        return ("profile", self.model, "--device", self.device, *self.options, "--run-dir", folder, "--quiet")


RECORDINGS: Mapping[str, Recording] = {
    "ready": Recording(model="examples/mobilenet_v1_0.25_128_int8.tflite", exit_code=0),
    "calibrated": Recording(
        model="mobilenet_v1_0.5_160_fp32.tflite", options=("--latency-budget", "60ms"), exit_code=0
    ),
    "out_of_memory": Recording(model="memory_hog_300.tflite", options=("--memory", "200M")),
    "missing_operator": Recording(model="custom_op_FlexRFFT.tflite"),
    "illegal_instruction": Recording(
        model="examples/mobilenet_v1_0.25_128_fp32.onnx", options=("--runtime", "onnxruntime@1.21.0")
    ),
    "timed_out": Recording(model="endless_model.onnx", options=("--timeout", "20s")),
}
MICROCONTROLLERS: Mapping[str, Recording] = {
    "microcontroller": Recording(
        model="examples/mobilenet_v1_0.25_128_int8.tflite", device="nucleo-l4r5zi.toml", engine="auto", exit_code=0
    ),
}
"""Runs that leave a folder of another kind."""
_ALL = {**RECORDINGS, **MICROCONTROLLERS}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.record_runs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_ALL)}; default: all")
    names = parser.parse_args().names or list(_ALL)
    if unknown := set(names) - set(_ALL):
        parser.error(f"no run {', '.join(sorted(unknown))}; there are {', '.join(_ALL)}")
    for name in names:
        record(name, _ALL[name])


def record(name: str, recording: Recording) -> None:
    """Run it, and put its run folder in place of the one recorded before."""
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-record-") as scratch:
        folder = Path(scratch)
        shutil.copytree(PROJECT / "examples", folder / "examples")
        if recording.device.endswith(".toml"):  # the record names the file: it must be one of no machine
            shutil.copy2(PROJECT / "device_specs" / recording.device, folder)
        if not recording.model.startswith("examples/"):
            (folder / recording.model).write_bytes(zoo.make(recording.model))
        words = recording.command(name)
        sys.stdout.write(f"$ edge-sandbox {shlex.join(words)}\n")
        sys.stdout.flush()
        status = subprocess.run([_COMMAND, *words, "--engine", recording.engine], cwd=folder, check=False).returncode
        if status != recording.exit_code:
            sys.exit(f"{name}: exit code {status} in place of {recording.exit_code}: nothing was replaced")
        for pattern in _UNREAD:
            for file in tuple((folder / name).rglob(pattern)):
                file.unlink()
        shutil.rmtree(RUNS / name, ignore_errors=True)
        shutil.copytree(folder / name, RUNS / name)


if __name__ == "__main__":
    main()
