"""`hedgerow link fit` and `hedgerow link draw` as a user runs them: what they write, print and refuse."""

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from hedgerow.cli import main
from hedgerow.emulation.traces import Trace
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.links import names, published
from hedgerow.simulation.links.document import read
from hedgerow.simulation.links.generated import draw_course, to_csv


@pytest.fixture(scope="module", autouse=True)
def _collected() -> None:
    main._collect()


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """Three generated drives of a minute and a half."""
    folder = tmp_path / "drives"
    folder.mkdir()
    for seed in range(3):
        (folder / f"drive-{seed}.csv").write_text(to_csv(draw_course(published("cellular-verizon"), Draws(seed), 90.0)))
    return folder


def run(
    words: Sequence[str | Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    monkeypatch.setattr(sys, "argv", ["hedgerow", "link", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def link(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Runs `hedgerow link ...`."""
    return lambda *words: run(words, capsys, monkeypatch)


def test_it_writes_a_model_and_prints_source_and_generated(drives: Path, tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    output, plot = tmp_path / "model.toml", tmp_path / "links.png"
    code, out, _ = link("fit", drives, "-o", output, "--plot", plot, "--licence", "CC0-1.0", "--source", "a test")
    assert code == 0
    model = read(output)
    assert model.source.traces == ("drive-0.csv", "drive-1.csv", "drive-2.csv")
    assert (model.source.rows, model.source.seconds) == (1350, 270.0)
    assert (model.source.text, model.source.licence, model.source.label) == ("a test", "CC0-1.0", "fitted")
    together = b"".join((drives / name).read_bytes() for name in model.source.traces)
    assert model.source.sha256 == sha256(together).hexdigest()
    assert model.step_s == 0.2
    assert plot.read_bytes().startswith(b"\x89PNG")
    lines = out.splitlines()
    assert lines[2].split() == ["source", "generated", "difference"]
    median = next(line for line in lines if line.startswith("round trip ms p50 ")).split()
    assert float(median[4]) == pytest.approx(51, rel=0.3)
    assert float(median[5]) == pytest.approx(float(median[4]), rel=0.1)
    for words in (
        "uplink Mbit/s p99.9",
        "uplink autocorrelation 5 s",
        "bursts of 5 or more an hour",
        "blackout mean s",
    ):
        assert any(line.startswith(words) for line in lines), words


def test_json_holds_the_same_figures_and_nothing_else(drives: Path, tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = link("fit", drives, "-o", tmp_path / "model.toml", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["source"]["rows"] == 1350
    assert len(told["probabilities"]) == len(told["recorded"]["round_trip_ms"]) == len(told["generated"]["up_mbps"])
    assert len(told["lags_s"]) == len(told["recorded"]["up_memory"]) == len(told["generated"]["round_trip_memory"])


def test_the_same_traces_give_the_same_model(drives: Path, tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    for name in ("one.toml", "two.toml"):
        assert link("fit", drives, "-o", tmp_path / name)[0] == 0
    assert (tmp_path / "one.toml").read_bytes() == (tmp_path / "two.toml").read_bytes()


def test_only_some_files_of_a_folder(drives: Path, tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    (drives / "other.csv").write_text("no trace\n")
    assert link("fit", drives, "-o", tmp_path / "model.toml")[0] == 2
    assert link("fit", drives, "-o", tmp_path / "model.toml", "--only", "drive-*.csv")[0] == 0
    assert read(tmp_path / "model.toml").source.traces == ("drive-0.csv", "drive-1.csv", "drive-2.csv")


GOOD = "time_s,rtt_ms,uplink_mbps,radio\n" + "".join(f"{each / 5:.1f},50,8,x\n" for each in range(100))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no trace"),
        ({"notes.txt": "hello\n"}, "holds no trace"),
        ({"a.csv": ""}, "a.csv is empty"),
        ({"a.csv": GOOD, "b.csv": GOOD.replace("\n4.0,50", "\n4.0,oops")}, "b.csv line 22: rtt_ms is 'oops'"),
        ({"a.csv": GOOD, "b.csv": GOOD[:-4]}, "b.csv line 101"),
        ({"a.csv": GOOD.rstrip("\n")}, "a.csv line 101: no newline"),
        ({"a.csv": GOOD, "b.csv": GOOD.replace(",50,", ",,")}, "b.csv: every probe is lost"),
        ({"a.csv": GOOD}, "100 received probes are too few for a model of a link: 900 more are needed"),
    ],
)
def test_a_folder_with_anything_bad_in_it_is_refused_whole(  # type: ignore[no-untyped-def]
    files: dict[str, str], message: str, tmp_path: Path, link
) -> None:
    folder = tmp_path / "drives"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    code, out, err = link("fit", folder, "-o", tmp_path / "model.toml")
    assert code == 2, err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not out
    assert not (tmp_path / "model.toml").exists()


def test_places_that_cannot_be_read_or_written(drives: Path, tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    code, _, err = link("fit", drives, "-o", tmp_path / "no" / "model.toml")
    assert (code, "cannot write the link model" in err) == (6, True)
    code, _, err = link("fit", tmp_path / "absent", "-o", tmp_path / "model.toml")
    assert (code, "is no folder" in err) == (2, True)
    code, _, err = link("fit", drives, "-o", tmp_path / "model.toml", "--plot", "links.gif")
    assert (code, ".png" in err) == (2, True)
    assert not (tmp_path / "model.toml").exists()
    code, _, err = link("fit", drives, "-o", tmp_path / "model.toml", "--only", "/*.csv")
    assert (code, "--only" in err) == (2, True)


def test_a_drawn_trace_is_one_that_the_emulated_link_plays(drives: Path, tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    for name in names():
        assert link("draw", name, "-o", tmp_path / "drawn.csv", "--seconds", "20", "--seed", "3")[0] == 0
        assert Trace.load(tmp_path / "drawn.csv").duration_s == pytest.approx(20.0)
    link("fit", drives, "-o", tmp_path / "model.toml")
    code, out, _ = link("draw", tmp_path / "model.toml", "-o", tmp_path / "own.csv")
    assert (code, "generated, fitted" in out) == (0, True)
    assert len(Trace.load(tmp_path / "own.csv").rows) == 450


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    for words, status, message in (
        (("draw", "nothing", "-o", "x.csv"), 2, "wired-tsn"),
        (("draw", "cellular", "-o", tmp_path / "no" / "x.csv"), 6, "cannot write"),
        (("draw", "cellular", "-o", tmp_path / "x.csv", "--seconds", "0"), 2, "more than 0"),
        (("draw", "cellular", "-o", tmp_path / "x.csv", "--seconds", "1e6"), 2, "more rows than a trace"),
        ((), 2, "--to HOST:PORT"),
        (("--to", "127.0.0.1:9", "draw", "cellular", "-o", tmp_path / "x.csv"), 2, "leave it out"),
    ):
        code, _, err = link(*words)
        assert (code, message in err) == (status, True), err
