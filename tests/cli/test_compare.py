"""`hedgerow simulate --links`: the table, the object, the files, and what is refused before anything runs."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hedgerow.cli.main import _collect, app
from hedgerow.errors import HostError, UsageError

SCENARIO = """
format = 1
name = "tiny"
seconds = 20
[[group]]
name = "all"
radios = [""]
deadlines_ms = [90]
device_factors = [1]
period_ms = 400
"""
COLUMNS = {
    "name", "requests", "late", "late_above_device_only", "p99_ms", "cost", "cost_over_hindsight",
    "cost_over_clairvoyant", "gap_closed", "agreement",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def verbs() -> None:
    if not app.registered_commands:
        _collect()


def run(*words: str) -> str:
    found = CliRunner().invoke(app, ["simulate", *words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SCENARIO)
    return path


def test_the_object_has_what_is_promised(tiny: Path) -> None:
    told = json.loads(
        run(str(tiny), "--links", "drive-mixed", "--policies", "hedgerow,device-only", "--workers", "1", "--json")
    )
    assert [row["name"] for row in told["policies"]] == ["hedgerow", "device-only"]
    assert [row["name"] for row in told["oracles"]] == ["hindsight", "clairvoyant", "clairvoyant_free"]
    for row in told["policies"]:
        assert set(row) >= COLUMNS
    assert told["errors"] == []
    assert told["worlds"] == 1


def test_the_table_names_every_policy_and_oracle(tiny: Path) -> None:
    told = run(str(tiny), "--links", "drive-mixed", "--policies", "hedgerow,device-only", "--workers", "1")
    assert "1 of 1 cells count" in told
    for name in ("hedgerow", "device-only", "(hindsight)", "(clairvoyant)"):
        assert name in told


def test_every_run_is_a_row_of_the_file_and_pictures_are_drawn(tiny: Path, tmp_path: Path) -> None:
    out, plots = tmp_path / "runs.csv", tmp_path / "plots"
    run(str(tiny), "--links", "drive-mixed", "--policies", "hedgerow,device-only", "--workers", "1", "-o", str(out),
        "--plots", str(plots), "--json")  # fmt: skip
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert {row["policy"] for row in rows} >= {"hedgerow", "device-only"}
    assert all(int(row["requests"]) == 50 and float(row["cost_mj"]) > 0 and not row["error"] for row in rows)
    made = {path.name for path in plots.iterdir()}
    assert made == {"cost-lateness.png", "arms-map.png", "timeline.png"}
    assert all((plots / name).read_bytes().startswith(b"\x89PNG") for name in made)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policies", "nobody", "--links", "drive-mixed"), "no policy 'nobody'"),
        (("--links", "nowhere"), "no folder of links"),
        ((), "names no links"),
        (("--links", "drive-mixed", "-o", "runs.txt"), ".csv or .parquet"),
        (("--links", "drive-mixed", "--shrink"), "belong to --campaign"),
        (("--links", "drive-mixed", "--requests", "10"), "belong to --campaign"),
        (("--links", "drive-mixed", "--policies", "hedgerow,ours"), "the same policy"),
        (("--links", "drive-mixed", "--policies", "only:cloud:nobody"), "no arm 'cloud:nobody'"),
        (("--campaign", "--policies", "ours"), "it draws its policies"),
        (("fleet-outage", "--links", "drive-mixed"), "takes its links from its scenario"),
        (("standard", "--campaign"), "draws its own worlds"),
        (("nothing.toml", "--links", "drive-mixed"), "no scenario"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(*words)


def test_what_cannot_be_written_is_told_before_anything_runs(tiny: Path, tmp_path: Path) -> None:
    for words in (("-o", "/proc/runs.csv"), ("--plots", str(tiny))):
        with pytest.raises(HostError, match="cannot write"):
            run(str(tiny), "--links", "drive-mixed", *words)


def test_lateness_is_told_where_no_cell_counts(tiny: Path) -> None:
    tiny.write_text(SCENARIO.replace("[90]", "[5]").replace("seconds = 20", "seconds = 4"))
    words = (str(tiny), "--links", "drive-mixed", "--policies", "hedgerow", "--workers", "1")
    (row,) = json.loads(run(*words, "--json"))["policies"]
    assert row["late"] is None
    assert (row["requests_of_all"], row["late_of_all"]) == (10, 10)
    assert "10 of 10 late" in run(*words)


def test_an_empty_folder_and_a_broken_trace_are_told_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no \*\.csv"):
        run("--links", str(tmp_path))
    (tmp_path / "good.csv").write_text("time_s,rtt_ms,uplink_mbps,radio\n0,30,10,LTE\n0.2,30,10,LTE\n")
    (tmp_path / "torn.csv").write_text("time_s,rtt_ms,uplink_mbps,radio\n0,30,10,LTE\n0.2,30\n")
    with pytest.raises(UsageError, match=r"torn\.csv"):
        run("--links", str(tmp_path))


VARIANTS = SCENARIO + '[[variant]]\nname = "all"\n[[variant]]\nname = "no cuts"\nwithout = ["split:*"]\n'


def test_variants_are_set_beside_each_other_in_a_table_an_object_and_a_file(tmp_path: Path) -> None:
    path, rows = tmp_path / "both.toml", tmp_path / "rows.csv"
    path.write_text(VARIANTS)
    words = (str(path), "--links", "drive-mixed", "--policies", "hedgerow", "--workers", "1")
    table = run(*words, "-o", str(rows))
    assert "first / this" in table
    assert table.count("no cuts") == 2  # the device alone, and hedgerow
    told = json.loads(run(*words, "--json"))
    assert [each["name"] for each in told["variants"]] == ["all", "no cuts"]
    with rows.open() as file:
        assert {row["variant"] for row in csv.DictReader(file)} == {"all", "no cuts"}


def test_variants_have_no_pictures_and_what_they_leave_out_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(VARIANTS)
    with pytest.raises(UsageError, match="no pictures"):
        run(str(path), "--links", "drive-mixed", "--plots", str(tmp_path / "plots"))
    path.write_text(VARIANTS.replace("split:*", "splot:*"))
    with pytest.raises(UsageError, match=r"'splot:\*' matches no model and no arm"):
        run(str(path), "--links", "drive-mixed", "--policies", "hedgerow")
