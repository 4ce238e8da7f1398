"""What is made is never overwritten, may be interrupted at any time, and settings follow the models they are made from."""

from pathlib import Path

import pytest

from hedgerow.adaptation import keeping
from hedgerow.adaptation.keeping import Made
from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import write_whole


class Killed(BaseException):
    """Stands for the end of a process between two writes."""


def killed_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    left = [writes]

    def write(path: Path, data: bytes) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        write_whole(path, data)

    monkeypatch.setattr(keeping, "write_whole", write)


@pytest.mark.parametrize("again", [b"one", b"other"])
@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_making_that_was_killed_between_two_writes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, again: bytes
) -> None:
    made, beside = Made(tmp_path / "a.onnx", {"seed": 1}), tmp_path / "a-exit.onnx"
    with monkeypatch.context() as patch:
        killed_after(patch, writes)
        with pytest.raises(Killed):
            made.keep({made.path: b"one", beside: b"two"}, {})
    assert made.record() is None
    with monkeypatch.context() as patch:  # and once more, what is made then being something else
        killed_after(patch, writes)
        with pytest.raises(Killed):
            made.keep({made.path: again, beside: b"two"}, {})
    assert made.record() is None
    kept = made.keep({made.path: again, beside: b"two"}, {"figure": 1})
    assert made.record() == kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-exit.onnx", "a.adapt.json", "a.onnx"]


def test_one_killed_after_its_record_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(tmp_path / "a.onnx", {"seed": 1})
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith(".adapt.partial.json"):
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(Killed):
            made.keep({made.path: b"one"}, {})
    found = made.record()
    assert found is not None
    assert found["origin"] == {"seed": 1}
    assert len(list(tmp_path.iterdir())) == 2


def test_models_of_another_origin_and_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    Made(path, {"seed": 1}).keep({path: b"one"}, {})
    with pytest.raises(UsageError, match="was made from other models"):
        Made(path, {"seed": 2}).record()
    other = tmp_path / "b.onnx"
    other.write_bytes(b"mine")
    with pytest.raises(UsageError, match="was not made here"):
        Made(other, {}, renewable=True).record()


def test_what_was_changed_since_it_was_killed_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(tmp_path / "a.onnx", {})
    with monkeypatch.context() as patch:
        killed_after(patch, 2)
        with pytest.raises(Killed):
            made.keep({made.path: b"one"}, {})
    made.path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="not overwritten"):
        made.record()


@pytest.mark.parametrize("writes", [0, 1, 2, 9])
def test_settings_are_made_anew_when_their_models_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    path = tmp_path / "arbitration.toml"
    before, after = (Made(path, {"models": models}, renewable=True) for models in ("ab", "abc"))
    before.keep({path: b"one"}, {})
    assert before.record() is not None
    assert after.record() is None
    with monkeypatch.context() as patch:
        killed_after(patch, writes)
        try:
            after.keep({path: b"two"}, {})
        except Killed:
            assert after.record() is None
            assert (before.record() is None) == (writes == 2)
    after.keep({path: b"two"}, {})
    assert after.record() is not None
    assert before.record() is None


def test_settings_that_somebody_changed_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "arbitration.toml"
    Made(path, {"models": "ab"}, renewable=True).keep({path: b"one"}, {})
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="changed since"):
        Made(path, {"models": "abc"}, renewable=True).record()


def test_where_there_is_no_pytorch_this_machine_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "find_spec", lambda _name: None)
    with pytest.raises(HostError, match=r"needs PyTorch: pip install 'hedgerow\[adapt\]'"):
        keeping.needs_pytorch()
