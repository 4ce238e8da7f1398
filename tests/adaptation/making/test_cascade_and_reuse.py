"""The steps `cascade` and `reuse` and their benchmarks, on a small pair of models: made once, kept, judged on other pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.adaptation import clips, gating
from hedgerow.adaptation.keeping import read_record
from hedgerow.adaptation.making import cascade, reuse
from hedgerow.adaptation.recipes import merged
from hedgerow.adaptation.reusing import calibrate
from hedgerow.adaptation.sources import of_parts, picture_paths
from hedgerow.benchmarks.adapting import cascade as cascade_bench
from hedgerow.benchmarks.adapting import reuse as reuse_bench
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from tests.device.small import pair_task


def quiet(_text: str) -> None:
    pass


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose imagenet is the pair of small models, and 70 pictures."""
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "adapted" / "imagenet"
    folder.mkdir(parents=True)
    pair_task(folder)
    (folder / "pair.toml").rename(folder / "task.toml")
    random = np.random.default_rng(6)
    (tmp_path / "data" / "images").mkdir(parents=True)
    for number in range(70):
        ground = random.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        Image.fromarray(ground).save(tmp_path / "data" / "images" / f"{number:03d}.png")
    for module in (cascade, reuse, reuse_bench, cascade_bench):
        monkeypatch.setattr(module, "SMALL", "small")
    monkeypatch.setattr(reuse, "fetch", lambda *_, **__: folder / "task.toml")
    monkeypatch.setattr(clips, "frames_of", lambda names, say: {})
    return tmp_path / "data"


def test_cascade(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(data, None, quiet)
    folder = setting.made("imagenet").parent
    with pytest.raises(UsageError, match="would be enough"):
        cascade.make(folder, data, seed=0, say=quiet)
    monkeypatch.setattr(cascade, "AT_MOST", 0.9)
    entries = cascade.make(folder, data, seed=0, say=quiet)
    assert [each["name"] for each in entries] == ["small"]
    assert merged([{"name": "small", "file": "x"}], entries)[0]["gate"] == entries[0]["gate"]
    monkeypatch.setattr(gating, "answers", None)  # made once: nothing is computed again
    monkeypatch.setattr(cascade, "answers", None)
    assert cascade.make(folder, data, seed=0, say=quiet) == entries


def test_what_is_judged_is_what_was_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(data, None, quiet)
    folder = setting.made("imagenet").parent
    monkeypatch.setattr(cascade, "AT_MOST", 0.9)
    (entry,) = cascade.make(folder, data, seed=0, say=quiet)
    found = cascade_bench.measure(setting)
    task, judge = Task.load(folder / "task.toml"), of_parts(picture_paths(data / "images"), "judge")
    sure = gating.answers(task, "small", judge, say=quiet).confidence
    assert found["escalated"] == pytest.approx(float((sure < entry["gate"]).mean()))
    assert 0 <= found["agreement"] <= 1
    held = cascade_bench.measure(Setting(data, data / "images", quiet))
    assert held["escalated"] != found["escalated"] or held == found


def test_reuse(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(data, None, quiet)
    folder = setting.made("imagenet").parent
    monkeypatch.setattr(reuse, "AT_MOST", 0.4)
    monkeypatch.setattr(reuse, "calibrate", lambda tracks: calibrate(tracks, at_most=0.4))
    assert reuse.make(folder, data, seed=0, say=quiet) == []
    kept = json.loads((folder / "reuse.json").read_bytes())
    assert kept["reuse_below"] == read_record(folder / "reuse.adapt.json")["figures"]["reuse_below"]
    found = reuse_bench.measure(setting)
    assert found["reused"] == found["made_reused"] > 0
    assert "filmed_reused" not in found  # there is no clip here
