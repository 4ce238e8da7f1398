"""Codecs are found by name, and a new one is one file in the package."""

import subprocess
import sys
from pathlib import Path

import pytest

import hedgerow.codecs
from hedgerow.codecs import Calibration, Family, families, get, names, register
from hedgerow.errors import UsageError


def test_the_usual_codecs_are_there() -> None:
    assert {"raw", "jpeg:75", "webp:80", "q8", "q4", "q4:channel", "q3", "q2"} <= set(names())
    assert list(names()) == [spec for family in families() for spec in family.specs]


@pytest.mark.parametrize(
    ("spec", "name"),
    [("jpeg", "jpeg:75"), ("webp", "webp:80"), ("q4:tensor", "q4"), ("q3:channel", "q3:channel"), ("raw", "raw")],
)
def test_a_spec_is_written_out_in_full(spec: str, name: str) -> None:
    assert get(spec).name == name
    assert get(name) == get(spec)


@pytest.mark.parametrize(
    "spec",
    [
        *(
            "",
            ":",
            "zip",
            "raw:1",
            "raw:",
            "jpeg:",
            "jpeg:0",
            "jpeg:101",
            "jpeg:075",
            "jpeg:7.5",
            "jpeg:-5",
            "jpeg:75,1",
        ),
        *("jpeg:²", "webp:best", "webp:" + "9" * 5000, "q5", "q4:row", "q4:channel,channel", "q4:", "Q4", " raw"),
    ],
)
def test_an_unknown_spec_is_answered_with_the_known_ones(spec: str) -> None:
    with pytest.raises(UsageError, match=r"known are .*jpeg\[:1-100\[,SIDE\]\], q2\[:channel\].*raw, webp"):
        get(spec)


@pytest.mark.parametrize("spec", ["raw", "jpeg:75", "q8", "q4:channel"])
def test_a_calibration_for_another_codec_is_refused(spec: str) -> None:
    calibration = Calibration("q4", {"x": (0.0,)}, {"x": (1.0,)})
    assert get("q4", calibration=calibration).calibration_id == calibration.id
    with pytest.raises(UsageError, match="calibration"):
        get(spec, calibration=calibration)


def test_a_family_name_belongs_to_one_family() -> None:
    raw = next(family for family in families() if family.name == "raw")
    register(raw)
    with pytest.raises(UsageError, match="registered twice"):
        register(Family("raw", "raw", ("raw",), lambda _arguments, _calibration: None))


NEW_CODEC = """
from dataclasses import dataclass
from hedgerow.codecs.raw import RawCodec
from hedgerow.codecs.registry import Family, register

@dataclass(frozen=True, slots=True)
class PlainCodec(RawCodec):
    name: str = "plain"

register(Family("plain", "plain", ("plain",), lambda arguments, calibration: None if arguments else PlainCodec()))
"""


def test_a_codec_is_added_by_dropping_one_file(tmp_path: Path) -> None:
    package = Path(hedgerow.codecs.__file__).parent
    (tmp_path / "plain.py").write_text(NEW_CODEC)
    script = f"""
import hedgerow.codecs
hedgerow.codecs.__path__.append({str(tmp_path)!r})
from hedgerow.codecs import get, names
from hedgerow.codecs.conformance import check_codec
assert "plain" in names()
check_codec(get("plain"))
"""
    assert package.is_dir()
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)
