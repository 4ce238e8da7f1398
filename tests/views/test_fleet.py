"""A fleet's table says what the figures say, also where an answer never came; its picture is written, or refused by its name."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hedgerow.errors import HostError, UsageError
from hedgerow.views.fleet import draw_fleet, fleet_lines, fleet_table


def _row(devices: int, **more: Any) -> dict[str, Any]:
    cloud = {"utilisation": 0.5, "queue_p99_ms": 4.25, "refused_share": 0.0123, "saturated": False}
    back = {
        "usual_per_100ms": 10.0,
        "peak_per_100ms": 14,
        "peak_over_usual": 1.4,
        "back_after_ms": None,
        "from_s": 1.0,
        "per_100ms": [10] * 10 + [0] * 10 + [14] * 5,
    }
    return {
        "devices": devices, "cells": 2, "requests": 12_000, "late": 3, "p50_ms": 41.5, "p99_ms": 147.4, "p999_ms": None,
        "remote": 0.625, "reserves": 0.031, "cost_mj": 95.7, "energy_mj": 67.5, "cloud": cloud, "reconnection": back, **more,
    }  # fmt: skip


def _found(**more: Any) -> dict[str, Any]:
    outage = {"at_s": 2.0, "for_s": 1.0}
    return {
        "scenario": "test", "policy": "ours", "deadline_ms": 150.0, "seconds": 4.0, "outage": outage, "saturates_at": 1000,
        "sizes": [_row(10), _row(1000)], **more,
    }  # fmt: skip


def _shown(found: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    console.print(fleet_table(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_size_has_its_row() -> None:
    last = next(line for line in _shown(_found()).splitlines() if "1,000" in line)
    told = [each.strip() for each in last.strip("│").split("│")]
    assert told == [
        "1,000", "2", "12,000", "3", "41.5", "147.4", "never", "62.5%", "3.1%", "95.7", "67.5", "50.0%", "4.2", "1.23%",
    ]  # fmt: skip


def test_saturation_and_return_are_told_in_words() -> None:
    lines = "\n".join(fleet_lines(_found()))
    assert "saturated from 1,000 devices on" in lines
    assert (
        "at most 14 requests and probes in 100 ms (1.40 times the usual 10.0), as many as before not within 5 s"
        in lines
    )
    calm = _found(outage=None, saturates_at=None, sizes=[_row(10, reconnection=None)])
    assert fleet_lines(calm) == ["the cloud is not saturated at any of these"]


@pytest.mark.parametrize("ending", [".png", ".svg"])
@pytest.mark.parametrize("outage", [True, False])
def test_a_picture_is_written(tmp_path: Path, ending: str, outage: bool) -> None:
    found = _found() if outage else _found(outage=None, sizes=[_row(10, reconnection=None, p99_ms=None)])
    draw_fleet(found, tmp_path / f"fleet{ending}")
    assert (tmp_path / f"fleet{ending}").stat().st_size > 5_000


def test_where_it_cannot_be_written_the_words_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png"):
        draw_fleet(_found(), tmp_path / "fleet.txt")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(HostError, match="cannot write"):
        draw_fleet(_found(), tmp_path / "file" / "fleet.png")
