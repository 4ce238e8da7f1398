"""Growth is found where it is planted, and a real run, short, keeps what it holds level."""

import json
from pathlib import Path

import pytest

from hedgerow.campaigns.long_run import Sample, grown, run_long, slope_per_100k


def level(**growth: int) -> list[Sample]:
    """Samples of 20,000 requests each; the named fields rise by so much from one to the next."""
    start = {"rss_bytes": 100_000_000, "native_threads": 5, "descriptors": 9, "kept": 0}
    return [
        Sample(20_000 * place, **{name: value + growth.get(name, 0) * place for name, value in start.items()})
        for place in range(10)
    ]


def test_a_level_run_has_not_grown() -> None:
    assert grown(level()) == []
    assert grown(level(rss_bytes=100_000)) == []
    assert slope_per_100k(level(rss_bytes=100_000)) == pytest.approx(500_000)


@pytest.mark.parametrize("field", ["native_threads", "descriptors", "kept"])
def test_whatever_is_left_open_is_named(field: str) -> None:
    assert [each.split()[0] for each in grown(level(**{field: 1}))] == [field]


def test_memory_that_rises_with_the_requests_is_told() -> None:
    assert grown(level(rss_bytes=400_000)) == ["memory by 1.91 MiB in 100,000 requests"]


@pytest.mark.slow
def test_a_short_run_for_real(tmp_path: Path) -> None:
    result = run_long(600, tmp_path, lambda _text: None)
    assert (result["requests"], result["journal_replays"]) == (600, True)
    assert result["remote"] >= 15
    assert sum(result["statuses"].values()) == 600
    assert result["kept"] == [0, 0]
    assert result["descriptors"][0] == result["descriptors"][1]
    json.dumps(result)
