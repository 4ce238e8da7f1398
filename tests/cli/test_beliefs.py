"""`hedgerow beliefs`: one JSON object with the judged fields on shipped links, a table for people and one for documents."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hedgerow.cli import main
from hedgerow.emulation.traces import shipped
from hedgerow.errors import UsageError

FIELDS = {
    "belief", "method", "default", "target", "missed", "missed_when_bet", "worst_200", "burst", "width_over_median"
}  # fmt: skip


@pytest.fixture(scope="module")
def cli() -> CliRunner:
    if not main.app.registered_commands:
        main._collect()
    return CliRunner()


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the shipped links, one of them Wi-Fi."""
    folder = tmp_path_factory.mktemp("links")
    for name in ("drive-mixed", "wifi-site"):
        shutil.copy(shipped()[name], folder)
    return folder


def test_the_object_has_a_row_for_each_belief_target_and_method(cli: CliRunner, links: Path) -> None:
    told = cli.invoke(main.app, ["beliefs", "--links", str(links), "--json"])
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert found["links"] == 2
    assert len(found["rows"]) == 2 * 4 * 8
    for row in found["rows"]:
        assert set(row) == FIELDS
        assert 0 <= row["missed"] <= 1
        assert row["missed_when_bet"] is None or 0 <= row["missed_when_bet"] <= 1
        assert row["width_over_median"] >= 0
    defaults = [(row["belief"], row["target"]) for row in found["rows"] if row["default"]]
    assert sorted(defaults) == [
        (belief, target) for belief in ("round_trip", "transfer") for target in (0.001, 0.01, 0.05, 0.5)
    ]
    assert {each["links"] for each in found["details"]} == {"all", "cellular", "wifi"}
    assert set(found["loss"]) == {"round_trip", "transfer"}
    assert 0 <= found["loss"]["transfer"]["brier"] < found["loss"]["transfer"]["brier_constant"] + 0.02


def test_a_state_that_is_kept_and_one_begun_anew_differ(cli: CliRunner, tmp_path: Path) -> None:
    for name in ("drive-good", "drive-mixed"):
        shutil.copy(shipped()[name], tmp_path)
    kept, anew = (
        json.loads(cli.invoke(main.app, ["beliefs", "--links", str(tmp_path), "--json", *more]).stdout)
        for more in ([], ["--restart"])
    )
    assert kept["details"][0]["moments"] == anew["details"][0]["moments"] + 20


def test_a_person_sees_a_table_that_fits_and_a_document_gets_one(cli: CliRunner, links: Path) -> None:
    told = cli.invoke(main.app, ["beliefs", "--links", str(links)])
    assert told.exit_code == 0
    assert "2 links, 860 moments" in told.stdout
    assert "…" not in told.stdout
    told = cli.invoke(main.app, ["beliefs", "--links", str(links), "--markdown"])
    lines = told.stdout.splitlines()
    tables = [line for line in lines if line.startswith("| ")]
    assert len(tables) == 2 * (1 + 4 * 8)
    assert sum("**hedgerow**" in line for line in tables) == 8


def test_a_folder_without_links_is_the_users_fault(cli: CliRunner, tmp_path: Path) -> None:
    told = cli.invoke(main.app, ["beliefs", "--links", str(tmp_path)])
    assert isinstance(told.exception, UsageError)
    assert "holds no CSV file" in str(told.exception)
