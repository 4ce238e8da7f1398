"""Read an ONNX file into memory, whole and checked, or say in one line why not.

Weights in files beside it ("external data") are read in; the model's identity then covers those files too, because
the same graph with other weights is another model. A message of more than 2 GB cannot be serialised: refused early.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import load_external_data_for_model

from hedgerow.errors import EngineError, HostError, UsageError

MODEL_BYTES_MAX = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A parsed and checked model, the SHA-256 (hex) of its bytes and its whole as bytes, weights included."""

    proto: onnx.ModelProto
    model_id: str
    whole: bytes


def one_line(error: BaseException) -> str:
    """The first line that says something of another library's message, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def read_model(source: str | Path | bytes) -> ModelFile:
    """Read, parse and check a model; UsageError, HostError or EngineError says whose fault it is if that fails."""
    path = None if isinstance(source, bytes) else Path(source)
    label = "the model" if path is None else f"'{path}'"
    data = source if isinstance(source, bytes) else _read(Path(source))
    proto = _parse(data, label)
    digest = hashlib.sha256(data)
    locations = sorted(set(_external_files(proto)))
    if locations:
        if path is None:
            raise UsageError("the model keeps its weights in other files: open it by its path, not by its bytes")
        _load_external(proto, path.parent, locations, digest)
        data = proto.SerializeToString()
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise EngineError(f"{label} is not a valid ONNX model: {one_line(error)}") from error
    return ModelFile(proto=proto, model_id=digest.hexdigest(), whole=data)


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UsageError(f"'{path}' is a directory; name the .onnx file in it")
        size = path.stat().st_size
        if size > MODEL_BYTES_MAX:
            raise EngineError(f"'{path}' has {size:,} bytes; at most {MODEL_BYTES_MAX:,} can be split")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"no model file '{path}'") from error
    except OSError as error:
        raise HostError(f"cannot read '{path}': {error.strerror}") from error


def _parse(data: bytes, label: str) -> onnx.ModelProto:
    if not data:
        raise UsageError(f"{label} is empty, not an ONNX model")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise UsageError(f"{label} is not an ONNX model, or is cut short: it does not parse") from error
    if not proto.ir_version or not proto.HasField("graph"):
        raise UsageError(f"{label} is not an ONNX model: it holds no graph")
    return proto


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every stored tensor: weights, attributes, and those of bodies."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for body in (attribute.g, *attribute.graphs):
                yield from _tensors(body)


def _external_files(proto: onnx.ModelProto) -> Iterator[str]:
    """The file that each tensor stored outside lies in."""
    for tensor in _tensors(proto.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _load_external(proto: onnx.ModelProto, folder: Path, locations: list[str], digest: "hashlib._Hash") -> None:
    """Read the weights beside the model into it and their files' bytes into the digest, in order of name."""
    try:
        total = sum((folder / location).stat().st_size for location in locations)
        if total > MODEL_BYTES_MAX:
            raise EngineError(f"the weights beside the model have {total:,} bytes; at most {MODEL_BYTES_MAX:,} fit")
        load_external_data_for_model(proto, str(folder))
        for location in locations:
            with (folder / location).open("rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    digest.update(block)
    except FileNotFoundError as error:
        raise UsageError(f"the model keeps weights in '{error.filename}', which is not there") from error
    except OSError as error:
        raise HostError(f"cannot read the model's weights in '{error.filename}': {error.strerror}") from error
    except (onnx.checker.ValidationError, ValueError) as error:
        raise EngineError(f"the model's weights beside it cannot be read: {one_line(error)}") from error
