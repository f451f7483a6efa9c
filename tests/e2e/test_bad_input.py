"""Bad input, as a user meets it: one line, the next step, the right exit code, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.resources import cache_directory, data_directory
from tests import zoo

from .cli import COMMAND, EXAMPLE_ONNX, EXAMPLE_TFLITE, assert_refused, edge_sandbox

pytestmark = pytest.mark.subprocess


def _png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))


def _pt(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02.")


def _saved_model(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01")


@pytest.mark.parametrize(
    ("name", "make", "text"),
    [
        ("missing.tflite", lambda _path: None, "does not exist"),
        ("empty.tflite", lambda path: path.write_bytes(b""), "is empty"),
        ("cut.tflite", lambda path: path.write_bytes(EXAMPLE_TFLITE.read_bytes()[:5000]), "cut.tflite"),
        ("cut.onnx", lambda path: path.write_bytes(EXAMPLE_ONNX.read_bytes()[:5000]), "cut.onnx"),
        ("photo.tflite", _png, "photo.tflite"),
        ("model.pt", _pt, "torch.onnx.export"),
        ("model.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(512)), "from_keras_model"),
        ("saved", _saved_model, "from_saved_model"),
        ("other.tflite", lambda path: path.write_bytes(b"\x10\0\0\0ABCD" + bytes(64)), "other.tflite"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, name: str, make: object, text: str) -> None:
    assert callable(make)
    path = tmp_path / name
    make(path)
    assert_refused(edge_sandbox("profile", path, "--device", "rpi4b"), 3, name, text)


def test_unknown_device_gets_the_nearest_names() -> None:
    assert_refused(edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4"), 2, "rpi4", "rpi4b")


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (("ram_bytes = 4_294_967_296", "ram_mb = 4096"), ("ram_mb", "ram_bytes")),
        (("ram_bytes = 4_294_967_296", ""), ("ram_bytes",)),
        (("ram_bytes = 4_294_967_296", 'ram_bytes = "4GB"'), ("ram_bytes", "bytes")),
        (("[cpu]", "[cpu"), ("TOML",)),
    ],
)
def test_device_specs_that_are_wrong(tmp_path: Path, change: tuple[str, str], texts: tuple[str, ...]) -> None:
    text = (data_directory("device_specs") / "rpi4b.toml").read_text()
    assert change[0] in text
    spec = tmp_path / "board.toml"
    spec.write_text(text.replace(*change, 1))
    assert_refused(edge_sandbox("profile", EXAMPLE_TFLITE, "--device", spec), 3, "board.toml", *texts)


@pytest.mark.parametrize(
    ("arrays", "texts"),
    [
        ({"wrong": np.zeros(3, np.int8), "other": np.zeros(3, np.int8)}, ("no array named",)),
        ({"input": np.zeros((1, 2, 2, 3), np.int8)}, ("[1, 2, 2, 3]", "int8 [1, 128, 128, 3]")),
        ({"input": np.zeros((1, 128, 128, 3), np.float32)}, ("float32", "int8 [1, 128, 128, 3]")),
    ],
)
def test_inputs_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray[Any, Any]], texts: tuple[str, ...]
) -> None:
    path = tmp_path / "input.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    assert_refused(edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--input", path), 2, *texts)


def test_an_input_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "input.npz"
    path.write_text("hello")
    assert_refused(edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--input", path), 2, "input.npz")


def test_dynamic_shapes_are_asked_for(tmp_path: Path) -> None:
    model = tmp_path / "dynamic.onnx"
    model.write_bytes(zoo.make("dynamic_batch.onnx"))
    assert_refused(edge_sandbox("profile", model, "--device", "rpi4b"), 2, "--shape input=1,3,8,8")
    assert_refused(edge_sandbox("profile", model, "--device", "rpi4b", "--shape", "x=1"), 2, "no such input")
    assert_refused(edge_sandbox("profile", model, "--device", "rpi4b", "--shape", "input=a,b"), 2, "not a shape")


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--memory", "lots", "not a size"),
        ("--timeout", "5", "not a time"),
        ("--runtime", "torch", "unknown runtime"),
        ("--runtime", "onnxruntime", "does not run tflite"),
        ("--os", "windows", "windows"),
    ],
)
def test_option_values_that_are_wrong(option: str, value: str, text: str) -> None:
    assert_refused(edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", option, value), 2, text)


def test_a_run_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--run-dir", tmp_path)
    assert_refused(done, 2, "not empty")
    assert (tmp_path / "precious").read_text() == "data"


def test_calibrations_that_are_none(tmp_path: Path) -> None:
    words = ("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--calibration")
    path = tmp_path / "mine.json"
    assert_refused(edge_sandbox(*words, path), 3, "No such file")
    path.write_text('{"schema_version": 2}')
    assert_refused(edge_sandbox(*words, path), 3, "mine.json: schema_version")
    assert [each.name for each in tmp_path.iterdir()] == ["mine.json"]


def test_replay_of_what_is_no_run_folder(tmp_path: Path) -> None:
    done = edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--engine", "replay", "--run-dir", tmp_path)
    assert_refused(done, 3, "not a run folder")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses connections as long as the socket is held."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_no_network_on_first_use(tmp_path: Path, closed_port: int) -> None:
    proxy = f"http://127.0.0.1:{closed_port}"
    env = {"EDGE_SANDBOX_CACHE": str(tmp_path / "cache"), "http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
    done = edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", env=env)
    assert_refused(done, 4, "cannot get", "network")
    assert not list(tmp_path.glob("cache/images/*"))


def test_a_cache_that_cannot_be_written() -> None:
    done = edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", env={"EDGE_SANDBOX_CACHE": "/dev/null/cache"})
    assert_refused(done, 4, "/dev/null/cache", "EDGE_SANDBOX_CACHE")


@pytest.fixture
def downloads_only(tmp_path: Path) -> Path:
    """A cache with this machine's downloads of the emulator, but nothing built."""
    lock = json.loads((data_directory("images") / "emulator-amd64" / "lock.json").read_text())
    for deb in lock["debs"]:
        source = cache_directory() / "downloads" / deb["sha256"][:2] / deb["sha256"]
        if not source.is_file():
            pytest.skip("the emulator has not been downloaded on this machine")
        target = tmp_path / "cache" / "downloads" / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return tmp_path / "cache"


def test_a_full_disk(downloads_only: Path) -> None:
    # a limit on the size of files stops the unpacking where a full disk would
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 256; exec "$@"', "sh", str(COMMAND), "images", "build", "emulator-amd64"],
        env={"EDGE_SANDBOX_CACHE": str(downloads_only)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(done, 4, "cannot write", "EDGE_SANDBOX_CACHE")
    assert not list(downloads_only.glob("images/*"))


@pytest.mark.engine("local")
@pytest.mark.parametrize("command", [("profile", "--fresh"), ("ceiling",)], ids=["profile", "ceiling"])
def test_a_disk_too_small_for_the_run(command: tuple[str, ...], tmp_path: Path) -> None:
    assert edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--dry-run").returncode == 0  # builds the image
    words = (*command, str(EXAMPLE_TFLITE), "--device", "rpi4b", "--quiet")
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 1; exec "$@"', "sh", str(COMMAND), *words],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(done, 4, "the run's files cannot be written", "TMPDIR")
    assert not list(tmp_path.iterdir())


@pytest.mark.engine("local")
def test_a_limit_below_what_the_guest_needs_to_start() -> None:
    done = edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--memory", "4M", "--quiet", "--fresh")
    assert done.returncode == 1, done.stderr
    words = " ".join(done.stdout.split())
    assert "at the limit of 4.19 MB" in words
    assert "Python and the runtime need more before any model is loaded" in words


def test_swap_that_no_source_names() -> None:
    done = edge_sandbox("profile", EXAMPLE_TFLITE, "--device", "aws-graviton2", "--swap")
    assert_refused(done, 2, "gives no swap_bytes", "leave --swap out")


def test_a_corrupt_cache(downloads_only: Path) -> None:
    victim = max(downloads_only.glob("downloads/??/*"), key=lambda path: path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1])
    env = {"EDGE_SANDBOX_CACHE": str(downloads_only)}
    assert_refused(edge_sandbox("images", "verify", "emulator-amd64", env=env), 3, victim.name, "damaged")
    assert not victim.exists(), "the next build fetches it again"


@pytest.mark.parametrize("command", ["profile", "compare"])
def test_docker_that_is_not_there(command: str, tmp_path: Path) -> None:
    env = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "EDGE_SANDBOX_CACHE": str(tmp_path / "cache")}
    done = edge_sandbox(command, EXAMPLE_TFLITE, "--device", "rpi4b", "--engine", "docker", env=env)
    assert_refused(done, 4, "engine docker")
    assert not (tmp_path / "cache").exists(), "nothing was fetched or built before"


@pytest.mark.parametrize("words", [("devices", "show"), ("devices", "check"), ("check", EXAMPLE_TFLITE, "--device")])
def test_a_terminal_is_sent_no_escape_of_a_file(words: tuple[str | Path, ...], tmp_path: Path) -> None:
    """On a real one: into a pipe, escapes are left out of what is printed in any case."""
    spec = tmp_path / "board.toml"
    spec.write_text('base = "rpi4b"\nname = "Board\\u001b[2J\\u009b31m"\n')
    ours, theirs = os.openpty()
    with subprocess.Popen([COMMAND, *words, spec], stdout=theirs, stderr=subprocess.PIPE) as running:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # nobody writes to it any more
            while chunk := os.read(ours, 1 << 16):
                shown += chunk
        _output, errors = running.communicate(timeout=60)
    os.close(ours)
    assert (running.returncode, errors) == (0, b"")
    assert b"Board\\x1b[2J\\x9b31m" in shown
    assert b"\x1b[2J" not in shown
    assert "\x9b".encode() not in shown
