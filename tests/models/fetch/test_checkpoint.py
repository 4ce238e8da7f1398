"""The checkpoint reader: what was written comes back, and a file that wants more than arrays is refused."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from hedgerow.errors import PeerError
from hedgerow.models.fetch.checkpoint import read_checkpoint
from tests.models.fetch.legacy import Entry, checkpoint, legacy_checkpoint, name, state_pickle, tensor, value, whole

RNG = np.random.default_rng(5)


def test_arrays_of_every_kind_come_back_bit_for_bit() -> None:
    arrays: dict[str, np.ndarray] = {
        "a.weight": RNG.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "b": RNG.normal(size=7),
        "c": RNG.normal(size=(2, 1)).astype(np.float16),
        "counted": np.array(9, np.int64),
        "none": np.zeros((0, 3), np.float32),
    }
    read = read_checkpoint(legacy_checkpoint({key: whole(array) for key, array in arrays.items()}))
    assert read.keys() == arrays.keys()
    for key, array in arrays.items():
        assert read[key].dtype == array.dtype
        assert read[key].shape == array.shape
        np.testing.assert_array_equal(read[key], array)


def test_strides_and_offset_are_obeyed() -> None:
    flat = np.arange(20, dtype=np.float32)
    read = read_checkpoint(legacy_checkpoint({"turned": Entry(flat, (3, 4), (1, 3), offset=5)}))
    np.testing.assert_array_equal(read["turned"], flat[5:17].reshape(4, 3).T)
    assert read["turned"].flags.c_contiguous


@pytest.mark.parametrize("place", ["first pickle", "state", "weight"])
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(tmp_path: Path, place: str) -> None:
    marker = tmp_path / "ran"
    call = name(os.system.__module__, "system") + b"(" + value(f"touch {marker}") + b"tR"
    if place == "first pickle":
        data = b"\x80\x02" + call + b"."
    elif place == "state":
        data = checkpoint(b"\x80\x02" + call + b".", [], [])
    else:
        data = checkpoint(state_pickle({"w": call}), [], [])
    with pytest.raises(PeerError, match="system, which no weights need"):
        read_checkpoint(data)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "nn"),
        ("torch._utils", "_rebuild_parameter"),
        ("collections", "OrderedDict.fromkeys"),
        ("torch.nn.modules.linear", "Linear"),
    ],
)
def test_any_other_name_is_refused(module: str, attribute: str) -> None:
    with pytest.raises(PeerError, match=f"{module}.{attribute}"):
        read_checkpoint(checkpoint(state_pickle({"w": name(module, attribute)}), [], []))


def test_an_opcode_that_no_weights_need_is_refused() -> None:
    state = b"\x80\x04\x8c\x0bcollections\x8c\x0fOrderedDict.pop" + b"\x93."
    with pytest.raises(PeerError, match="SHORT_BINUNICODE"):
        read_checkpoint(checkpoint(state, [], []))


def test_a_pickle_that_would_claim_memory_is_refused() -> None:
    with pytest.raises(PeerError, match="memo is too large"):
        read_checkpoint(b"\x80\x02Nr\xff\xff\xff\x7f.")


def test_a_file_cut_short_anywhere_is_refused() -> None:
    data = legacy_checkpoint({"w": whole(np.arange(6, dtype=np.float32)), "v": whole(np.ones(2))})
    for length in range(len(data)):
        with pytest.raises(PeerError):
            read_checkpoint(data[:length])


def test_flipped_bits_never_raise_anything_but_a_peer_error() -> None:
    data = bytearray(legacy_checkpoint({"w": whole(np.arange(6, dtype=np.float32))}))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        try:
            read_checkpoint(bytes(damaged))
        except PeerError:
            continue


SIX = np.arange(6, dtype=np.float32)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(SIX, (7,), (1,)),
        Entry(SIX, (6,), (1,), offset=1),
        Entry(SIX, (2, 3), (6, 1)),
        Entry(SIX, (3,), (-1,), offset=5),
        Entry(SIX, (3,), (1,), offset=-1),
        Entry(SIX, (-3,), (1,)),
        Entry(SIX, (2, 3), (1,)),
        Entry(SIX, (10**12,), (0,)),
        Entry(SIX, (1,) * 9, (1,) * 9),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(entry: Entry) -> None:
    with pytest.raises(PeerError, match="damaged"):
        read_checkpoint(legacy_checkpoint({"w": entry}))


def test_a_storage_of_another_length_than_declared_is_refused() -> None:
    state = state_pickle({"w": tensor("1", whole(SIX), declared=9)})
    with pytest.raises(PeerError, match="6 elements instead of 9"):
        read_checkpoint(checkpoint(state, ["1"], [SIX]))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a newer file", pickle.dumps(1, 2), b"\x80\x02N." * 5])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        read_checkpoint(data)


def test_a_state_that_is_not_tensors_by_name_is_refused() -> None:
    for state in (pickle.dumps([1, 2], 2), pickle.dumps({"w": 3}, 2), pickle.dumps({4: 3}, 2)):
        with pytest.raises(PeerError, match="not tensors by name"):
            read_checkpoint(checkpoint(state, [], []))
