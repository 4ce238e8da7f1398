"""The generated messages: beside tritonclient in either order, with the protocol's own numbers, up to date."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor
from tritonclient.grpc import service_pb2 as theirs

from hedgerow.wire.generated import open_inference_pb2 as ours

REPOSITORY = Path(__file__).resolve().parents[2]
OURS, THEIRS = "import hedgerow.wire.generated.open_inference_pb2", "import tritonclient.grpc"


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)])
def test_they_stand_beside_tritonclient_in_either_order(order: tuple[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", "; ".join(order)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_field_has_the_name_number_and_type_of_the_public_protocol() -> None:
    for name, message in ours.DESCRIPTOR.message_types_by_name.items():
        _assert_same_fields(message, theirs.DESCRIPTOR.message_types_by_name[name])


def _assert_same_fields(mine: Descriptor, other: Descriptor) -> None:
    assert {f.name: (f.number, f.type, f.is_repeated) for f in mine.fields} == {
        f.name: (f.number, f.type, f.is_repeated) for f in other.fields
    }
    for nested in mine.nested_types:
        _assert_same_fields(nested, other.nested_types_by_name[nested.name])


@pytest.mark.skipif(importlib.util.find_spec("grpc_tools") is None, reason="grpcio-tools is not installed")
def test_they_are_what_the_proto_files_give(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_stubs", REPOSITORY / "tools" / "make_stubs.py")
    assert spec is not None
    assert spec.loader is not None
    make_stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_stubs)
    make_stubs.generate(tmp_path)
    committed = REPOSITORY / "src" / "hedgerow" / "wire" / "generated"
    for path in sorted(tmp_path.iterdir()):
        assert path.read_text() == (committed / path.name).read_text(), f"run tools/make_stubs.py: {path.name} is old"
