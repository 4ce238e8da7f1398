"""Readable JSON is still the same JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.profiling.layout import readable

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@given(VALUES)
def test_it_reads_back_as_what_it_was(value: object) -> None:
    assert json.loads(readable(value)) == value


def test_a_long_list_of_numbers_stays_on_one_line() -> None:
    text = readable({"ranges": list(range(500)), "name": "x"})
    assert len(text.splitlines()) == 4


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError):
        readable({"a": float("nan")})
