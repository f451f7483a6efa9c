"""Files that are no TFLite and no ONNX model: what they are, and how to get from them to one.

Told from their first and last bytes alone; no archive is opened and nothing is unpickled.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

_ZIP_DIRECTORY_BYTES = 1 << 20  # a zip names its members at its end; models have far fewer than fill this
_PROTOBUF_LIMIT_BYTES = 1 << 31

_FROM_PYTORCH = "export it with torch.onnx.export(model, example_inputs, 'model.onnx')"
_FROM_KERAS = "convert it with tf.lite.TFLiteConverter.from_keras_model(tf.keras.models.load_model(...)).convert()"
_FROM_SAVED_MODEL = "convert its directory with tf.lite.TFLiteConverter.from_saved_model(...).convert()"
_FROM_FROZEN = "convert it with tf.compat.v1.lite.TFLiteConverter.from_frozen_graph(...).convert(), or with tf2onnx"
_FROM_SOURCE = "export the original model to .onnx or .tflite"
_GIVE_MODEL = "give a .tflite or an .onnx file"


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A recognised file that cannot be run."""

    what: str
    """Reads on after the file's name: ``is a PNG image, not a model``."""
    hint: str


_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", "is a Keras/HDF5 file, not a TFLite model", _FROM_KERAS),
    (b"GGUF", "is a GGUF language model, which neither TFLite nor ONNX Runtime reads", _FROM_SOURCE),
    (b"LITERTLM", "is a LiteRT-LM bundle, not a single model", "give the .tflite file that it was made of"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the model itself", "fetch the model with 'git lfs pull'"),
    (b"\x89PNG\r\n\x1a\n", "is a PNG image, not a model", _GIVE_MODEL),
    (b"\xff\xd8\xff", "is a JPEG image, not a model", _GIVE_MODEL),
    (b"GIF8", "is a GIF image, not a model", _GIVE_MODEL),
    (b"%PDF-", "is a PDF document, not a model", _GIVE_MODEL),
    (b"\x7fELF", "is an ELF binary, not a model", _GIVE_MODEL),
    (b"\x93NUMPY", "is a numpy array, not a model", _GIVE_MODEL),
    (b"\x1f\x8b", "is a gzip archive, not a model", "unpack it and give the model inside"),
    (b"BZh", "is a bzip2 archive, not a model", "unpack it and give the model inside"),
    (b"\xfd7zXZ\x00", "is an xz archive, not a model", "unpack it and give the model inside"),
    (b"\x28\xb5\x2f\xfd", "is a zstd archive, not a model", "unpack it and give the model inside"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive, not a model", "unpack it and give the model inside"),
)
_ZIP_MEMBERS = (
    ((b"data.pkl", b"constants.pkl"), "is a TorchScript archive, not an ONNX model", _FROM_PYTORCH),
    ((b"data.pkl",), "is a PyTorch checkpoint, not an ONNX model", _FROM_PYTORCH),
    ((b"models/model.json",), "is a PyTorch exported program, not an ONNX model", _FROM_PYTORCH),
    ((b"serialized_exported_program.json",), "is a PyTorch exported program, not an ONNX model", _FROM_PYTORCH),
    ((b"model.weights.h5",), "is a Keras model, not a TFLite model", _FROM_KERAS),
    ((b"saved_model.pb",), "is a zipped TensorFlow SavedModel", f"unpack it, then {_FROM_SAVED_MODEL}"),
)
_FLATBUFFERS = {
    b"ORTM": ("is an ONNX Runtime format (.ort) model", "give the .onnx file that it was made of"),
    b"ET12": ("is an ExecuTorch program", _FROM_PYTORCH),
    b"CIR0": ("is a Circle model", "give the .tflite file that it was made of"),
}


def recognise(path: Path, content: mmap.mmap) -> Foreign | None:
    """What ``content`` is if it is surely no ONNX model; ``None`` if it may be one or is unknown."""
    head = content[:64]
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            return Foreign(what=what, hint=hint)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(content)
    # Protocol 2 and later announce themselves; torch.save() before version 1.6 wrote such a pickle.
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Foreign(what="is a Python pickle (a PyTorch checkpoint?), which is never loaded", hint=_FROM_PYTORCH)
    if head[8:10] == b'{"' and 2 <= int.from_bytes(head[:8], "little") <= len(content):
        return Foreign(what="is a safetensors file: weights without a graph", hint=_FROM_PYTORCH)
    if len(content) >= _PROTOBUF_LIMIT_BYTES and may_be_onnx(content):
        hint = "save it with onnx.save(model, path, save_as_external_data=True)"
        return Foreign(what="has 2 GiB or more, which no protobuf and so no ONNX file can have", hint=hint)
    return _tensorflow(path, head) or _flatbuffer(content, head) or _text(head)


def may_be_onnx(content: mmap.mmap) -> bool:
    """Whether the first byte is the tag of a field that an ONNX ModelProto can begin with (onnx.proto)."""
    return content[0] in (0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA)


def _zip(content: mmap.mmap) -> Foreign:
    tail = content[-_ZIP_DIRECTORY_BYTES:]
    for members, what, hint in _ZIP_MEMBERS:
        if all(member in tail for member in members):
            return Foreign(what=what, hint=hint)
    return Foreign(what="is a zip archive, not a model", hint="unpack it and give the model inside")


def _tensorflow(path: Path, head: bytes) -> Foreign | None:
    # SavedModel: saved_model_schema_version = 1, then meta_graphs. An ONNX file of IR version 1 begins alike, so the
    # name has a say. GraphDef: node { name, op, ... } first, whose tag no ONNX file begins with.
    if head.startswith(b"\x08\x01\x12") and path.suffix == ".pb":
        return Foreign(what="is the graph of a TensorFlow SavedModel, without its weights", hint=_FROM_SAVED_MODEL)
    after_length = head[1:].lstrip(bytes(range(0x80, 0x100)))[1:]
    if head[:1] == b"\x0a" and after_length[:1] == b"\x0a" and (path.suffix == ".pb" or b"\x12" in after_length):
        return Foreign(what="is a TensorFlow GraphDef, not a TFLite model", hint=_FROM_FROZEN)
    return None


def _flatbuffer(content: mmap.mmap, head: bytes) -> Foreign | None:
    # Builders put the root near the start. An ONNX file has a tag in its third byte, so it never looks like this, even
    # when its producer's name lies where a flatbuffer has its identifier.
    root, identifier = int.from_bytes(head[:4], "little"), head[4:8]
    if not 8 <= root <= min(len(content) - 4, 0xFFFF):
        return None
    if identifier in _FLATBUFFERS:
        what, hint = _FLATBUFFERS[identifier]
        return Foreign(what=f"{what}, not a TFLite or ONNX one", hint=hint)
    if identifier.isalnum():
        name = identifier.decode("ascii")
        return Foreign(what=f"is a flatbuffer of kind {name!r}, not a TFLite model (TFL3)", hint=_GIVE_MODEL)
    return None


def _text(head: bytes) -> Foreign | None:
    if head.isascii() and all(byte >= 0x20 or byte in b"\t\n\r" for byte in head):
        return Foreign(what="is a text file, not a model", hint=_GIVE_MODEL)
    return None
