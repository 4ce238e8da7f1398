"""The names of `import hedgerow`: all there, all completed, and no others."""

import pytest

import hedgerow


def test_every_public_name_is_completed_and_there() -> None:
    assert set(hedgerow.__all__) <= set(dir(hedgerow))
    assert "__version__" in dir(hedgerow)
    for name in hedgerow.__all__:
        assert getattr(hedgerow, name).__name__ == name


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        hedgerow.Sesion  # noqa: B018
