"""The example that the documentation points to is a streams file."""

from pathlib import Path

from hedgerow.assurance.certification.streams import parse_streams

EXAMPLE = Path(__file__).parents[3] / "examples" / "streams.toml"


def test_the_example_is_read_and_shows_every_table() -> None:
    found = parse_streams(EXAMPLE.read_text())
    assert [mode.name for mode in found.modes] == ["nominal", "saving", "stop"]
    assert found.rule.hot_celsius == 85
    assert [stream.has_safe_value for stream in found.streams] == [True, False, False]
