"""A profile comes back as it was written, or is refused with a word that says why."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hedgerow.codecs import get
from hedgerow.errors import HostError, UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.profiling.tasks import tensor_samples


def test_it_reads_back_as_it_was_written(tensor_profile: Profile, picture_profile: Profile, tmp_path: Path) -> None:
    for profile in (tensor_profile, picture_profile):
        profile.save(tmp_path / "p.json")
        assert Profile.load(tmp_path / "p.json") == profile


def test_it_says_where_when_and_what_in_readable_text(tensor_profile: Profile, tmp_path: Path) -> None:
    tensor_profile.save(tmp_path / "p.json")
    text = (tmp_path / "p.json").read_text()
    for part in ('"format": 1', '"processor"', '"made": "2', tensor_profile.task_id, tensor_profile.models[0].chain_id):
        assert part in text
    assert len(text.splitlines()) > 50


def test_cut_short_anywhere_it_is_refused(tensor_profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    tensor_profile.save(path)
    whole = path.read_bytes()
    for kept in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:kept])
        with pytest.raises(UsageError, match=r"p\.json"):
            Profile.load(path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_is_refused(tensor_profile: Profile, tmp_path: Path, version: object) -> None:
    changed = _with(tensor_profile, tmp_path, format=version)
    with pytest.raises(UsageError, match="format"):
        Profile.load(changed)


@pytest.mark.parametrize(
    "change",
    [
        {"models": []},
        {"samples": ["one"]},
        {"agreement": {"local:tiny": {"mean": 1.0, "per_sample": "1"}}},
        {"timer_lateness": {"samples": 3}},
        {"threads": "many"},
        {"machine": None},
        {"reference": "another"},
    ],
)
def test_a_damaged_field_is_refused(tensor_profile: Profile, tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="damaged"):
        Profile.load(_with(tensor_profile, tmp_path, **change))


def test_a_changed_calibration_is_refused(tensor_profile: Profile, tmp_path: Path) -> None:
    plain = msgspec.to_builtins(tensor_profile)
    kept = next(each["calibration"] for each in plain["crossings"] if each["calibration"])
    next(iter(kept["tensors"].values()))["high"][0] += 1.0
    path = tmp_path / "p.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(UsageError, match="calibration"):
        Profile.load(path)


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    for text in ("", "[]", "3", '"profile"', "{}", "\x00\xff", "[" * 5000):
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(UsageError):
            Profile.load(tmp_path / "p.json")
    with pytest.raises(UsageError, match="there is no profile"):
        Profile.load(tmp_path / "missing.json")
    with pytest.raises(UsageError, match="folder"):
        Profile.load(tmp_path)


def test_another_task_is_refused_and_its_own_is_not(
    tensor_profile: Profile, tensor_task: Task, picture_task: Task
) -> None:
    tensor_profile.check(tensor_task)
    with pytest.raises(UsageError, match=r"measured for task 'tiny'.*not for 'patches'"):
        tensor_profile.check(picture_task)


def test_other_joints_of_the_same_task_are_refused(tensor_profile: Profile, tensor_task: Task) -> None:
    model = tensor_task.models[0]
    text = f'[task]\nname = "tiny"\nkind = "tensors"\nreference = "tiny"\n[[model]]\nname = "tiny"\nfile = "{model.path}"\n'
    path = model.path.parent / "fewer.toml"
    path.write_text(text + 'joints = ["h1"]\n')
    fewer = Task.load(path)
    assert fewer.task_id == tensor_profile.task_id
    with pytest.raises(UsageError, match="other joints of model 'tiny'"):
        tensor_profile.check(fewer)


def test_a_full_disk_is_named_and_leaves_the_old_file(
    tensor_profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.json"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="No space left"):
        tensor_profile.save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_calibrations_fit_codecs_and_the_tensors_they_were_made_for(tensor_profile: Profile, tensor_task: Task) -> None:
    sample = next(iter(tensor_samples(1).values()))
    found = tensor_profile.calibrations()
    assert set(found) == {f"tiny@{joint}:q4:channel" for joint in (1, 2, 3)}
    with tensor_task.open("tiny") as chain:
        for joint in (1, 2, 3):
            codec = get("q4:channel", calibration=found[f"tiny@{joint}:q4:channel"])
            assert codec.encode(chain.run(sample, last=joint).tensors)


def test_an_unknown_model_is_answered_with_the_known_ones(picture_profile: Profile) -> None:
    assert picture_profile.model("small").name == "small"
    with pytest.raises(UsageError, match="it has small, big"):
        picture_profile.model("huge")


def _with(profile: Profile, folder: Path, **changes: object) -> Path:
    plain: dict[str, Any] = msgspec.to_builtins(profile)
    path = folder / "changed.json"
    path.write_text(json.dumps(plain | changes))
    return path
