"""The spool: whole pictures with their reasons, a quota that holds, a full disk that costs nothing, and a folder opened again."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hedgerow.adaptation.sources import picture_paths
from hedgerow.device.spool import COLUMNS, Spool
from hedgerow.errors import HostError, UsageError

FRAME = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
FACTS = {
    "reason": "unusual features",
    "p_value": "0.01",
    "label": "a, b",
    "confidence": "0.4",
    "model": "small",
    "by": "big",
}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "reasons.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_trainer_opens_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    kept = [spool.keep(FRAME, FACTS), spool.keep(255 - FRAME, FACTS)]
    assert picture_paths(tmp_path / "spool" / "images") == kept
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "spool" / "images" / "000001.png")), FRAME)
    found = rows(tmp_path / "spool")
    assert tuple(found[0]) == COLUMNS
    assert [each["file"] for each in found] == ["images/000001.png", "images/000002.png"]
    assert found[0]["label"] == "a, b"
    assert sum(int(each["bytes"]) for each in found) == spool.counts.bytes


def test_the_quota_holds_over_a_restart(tmp_path: Path) -> None:
    one = Spool(tmp_path, quota_bytes=10**6)
    one.keep(FRAME, FACTS)
    size = one.counts.bytes
    again = Spool(tmp_path, quota_bytes=2 * size + 10)
    assert again.counts.samples == 1
    assert again.keep(FRAME, FACTS) is not None
    assert again.keep(FRAME, FACTS) is None
    assert (again.counts.samples, again.counts.refused) == (2, 1)
    assert Spool(tmp_path, samples_max=2).keep(FRAME, FACTS) is None
    assert len(rows(tmp_path)) == len(list((tmp_path / "images").iterdir())) == 2


def test_a_full_disk_is_said_and_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    spool.keep(FRAME, FACTS)
    before = (tmp_path / "reasons.csv").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("hedgerow.device.spool.os.fsync", full)
        with pytest.raises(HostError, match="No space left"):
            spool.keep(FRAME, FACTS)
    assert (tmp_path / "reasons.csv").read_bytes() == before
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["000001.png"]
    assert spool.keep(FRAME, FACTS) is not None  # there is room again
    assert [each["file"] for each in rows(tmp_path)] == ["images/000001.png", "images/000002.png"]


def test_no_room_for_the_row_takes_its_picture_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    spool.keep(FRAME, FACTS)

    def full(_row: object) -> None:
        raise HostError("cannot write reasons.csv: No space left on device")

    monkeypatch.setattr(spool, "_append", full)
    with pytest.raises(HostError):
        spool.keep(FRAME, FACTS)
    assert len(list((tmp_path / "images").iterdir())) == 1


def test_a_row_that_was_cut_off_goes_and_its_picture_keeps_its_name(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(FRAME, FACTS)
    spool.keep(FRAME, FACTS)
    table = tmp_path / "reasons.csv"
    table.write_bytes(table.read_bytes()[:-9])
    again = Spool(tmp_path)
    assert again.counts.samples == 1
    path = again.keep(FRAME, FACTS)
    assert path is not None
    assert path.name == "000003.png"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reasons.csv").write_text("why,when\nso,now\n")
    with pytest.raises(UsageError, match="no table of a spool"):
        Spool(tmp_path)
    with pytest.raises(UsageError, match="at least one byte"):
        Spool(tmp_path / "new", quota_bytes=0)
