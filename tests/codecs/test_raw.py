"""Raw tensors come back bit by bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hedgerow.codecs import CodecLimits, get
from hedgerow.codecs.envelope import DTYPES, Item, seal
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array

LIMITS = CodecLimits()
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
)


@given(st.dictionaries(st.text(max_size=20), ARRAYS, max_size=4))
@settings(deadline=None)
def test_every_bit_comes_back(tensors: dict[str, Array]) -> None:
    decoded = get("raw").decode(get("raw").encode(tensors), limits=LIMITS)
    assert list(decoded) == list(tensors)
    for name, array in tensors.items():
        assert decoded[name].dtype == array.dtype
        assert decoded[name].shape == array.shape
        assert decoded[name].tobytes() == array.tobytes()  # NaN and -0.0 as well


def test_any_memory_layout_is_taken() -> None:
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    tensors = {"turned": array.T, "skipped": array[::2, :, ::-1], "swapped": array.astype(">f4")}
    decoded = get("raw").decode(get("raw").encode(tensors), limits=LIMITS)
    for name, each in tensors.items():
        np.testing.assert_array_equal(decoded[name], each)
        assert decoded[name].dtype == np.float32
        assert decoded[name].dtype.isnative


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j]), np.array(["2020"], "M8[D]")])
def test_a_dtype_that_does_not_travel_is_the_callers_mistake(array: Array) -> None:
    with pytest.raises(UsageError, match="which no codec carries"):
        get("raw").encode({"x": array})


@pytest.mark.parametrize("length", [0, 7, 9])
def test_a_body_of_another_length_is_refused(length: int) -> None:
    payload = seal("raw", [Item("x", "float32", (2,), b"\0" * length)])
    with pytest.raises(PeerError, match="8 belong to its shape"):
        get("raw").decode(payload, limits=LIMITS)


def test_a_bool_is_0_or_1() -> None:
    with pytest.raises(PeerError, match="other than 0 and 1"):
        get("raw").decode(seal("raw", [Item("x", "bool", (2,), b"\1\2")]), limits=LIMITS)
