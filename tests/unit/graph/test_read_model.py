"""Any path at all: what is no model is told by name, with the next step."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from sandbox.errors import DataFileError
from sandbox.graph import foreign, read_model
from tests import zoo


def refusal(path: Path) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        read_model(path)
    error = caught.value
    assert str(path) in error.message
    assert "\n" not in error.message
    assert error.hint
    return error


def zipped(*members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in members:
            archive.writestr(member, b"content")
    return file.getvalue()


class Bomb:
    """Unpickling it fails the test."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("unpickled",)


def node_def(name: bytes) -> bytes:
    body = b"\x0a" + bytes([len(name)]) + name + b"\x12\x0bPlaceholder"
    return b"\x0a" + bytes([len(body)]) + body


FOREIGN = {
    "picture.tflite": (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG image", "a .tflite or an .onnx"),
    "picture.onnx": (b"\xff\xd8\xff\xe0" + bytes(50), "JPEG", "a .tflite or an .onnx"),
    "notes.onnx": (b"this is not a model\n" * 10, "text file", "a .tflite or an .onnx"),
    "pointer.tflite": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "Git LFS pointer",
        "git lfs pull",
    ),
    "models.zip": (zipped("a.tflite"), "zip archive", "unpack"),
    "model.tflite.gz": (b"\x1f\x8b\x08" + bytes(50), "gzip", "unpack"),
    "checkpoint.pt": (zipped("archive/data.pkl", "archive/data/0"), "PyTorch checkpoint", "torch.onnx.export"),
    "script.pt": (zipped("m/data.pkl", "m/constants.pkl", "m/code/m.py"), "TorchScript", "torch.onnx.export"),
    "program.pt2": (zipped("p/models/model.json"), "PyTorch exported program", "torch.onnx.export"),
    "old.pth": (pickle.dumps(Bomb(), protocol=2), "Python pickle", "torch.onnx.export"),
    "model.h5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "Keras/HDF5", "from_keras_model"),
    "model.keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "Keras model", "from_keras_model"),
    "saved_model.pb": (b"\x08\x01\x12\x04\x0a\x02\x12\x00", "SavedModel", "from_saved_model"),
    "frozen.pb": (node_def(b"input"), "GraphDef", "from_frozen_graph"),
    "frozen_unnamed": (node_def(b"x" * 20), "GraphDef", "from_frozen_graph"),
    "weights.safetensors": (struct.pack("<Q", 40) + b'{"a":1}'.ljust(60), "safetensors", "torch.onnx.export"),
    "model.gguf": (b"GGUF" + bytes(50), "GGUF", "export"),
    "model.ort": (struct.pack("<I", 16) + b"ORTM" + bytes(50), "(.ort)", ".onnx"),
    "other.tflite": (struct.pack("<I", 16) + b"MONS" + bytes(50), "flatbuffer of kind 'MONS'", "a .tflite"),
    "noise.tflite": (bytes(range(200, 256)), "neither", "a .tflite or an .onnx"),
    "zeros.onnx": (bytes(100), "neither", "a .tflite or an .onnx"),
    "one_byte.onnx": (b"\x08", "ONNX", "again"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_file_is_named_with_the_next_step(name: str, tmp_path: Path) -> None:
    content, what, hint = FOREIGN[name]
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)
    assert what in error.message
    assert error.hint is not None
    assert hint in error.hint


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "absent.tflite").message
    (tmp_path / "file").write_text("x")
    assert "does not exist" in refusal(tmp_path / "file" / "below.tflite").message


def test_impossible_name(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000)).message


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path).message


def test_saved_model_directory(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    error = refusal(tmp_path)
    assert "SavedModel" in error.message
    assert error.hint is not None
    assert "from_saved_model" in error.hint


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.tflite"
    path.touch()
    assert "is empty" in refusal(path).message


def test_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "pipe.tflite"
    os.mkfifo(path)
    assert "not a regular file" in refusal(path).message


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.tflite"
    path.write_bytes(zoo.tiny_conv_tflite("int8"))

    def denied(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in refusal(path).message


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    for name, content, expected in (
        ("a.onnx", zoo.tiny_conv_tflite("int8"), "tflite"),
        ("b.tflite", zoo.tiny_onnx(), "onnx"),
        ("c", zoo.tiny_onnx(), "onnx"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert read_model(path).format == expected


def test_onnx_beyond_protobufs_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_PROTOBUF_LIMIT_BYTES", 100)
    path = tmp_path / "large.onnx"
    path.write_bytes(zoo.tiny_onnx())
    error = refusal(path)
    assert "2 GiB" in error.message
    assert error.hint is not None
    assert "save_as_external_data" in error.hint


def test_large_onnx_is_not_taken_for_a_flatbuffer(tmp_path: Path) -> None:
    # IR version 8 and a producer name of 7 letters read as a plausible root offset once the file has 118 MB.
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(b"\x08\x08\x12\x07pytorch")
        file.truncate(0x07120808 + 1000)
    assert "ONNX" in refusal(path).message
