"""`hedgerow evaluate`: a table or one JSON object, exit code 1 for a refusal, 2 for what is no journal."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hedgerow.assurance.evaluation import COLUMNS
from hedgerow.cli import main
from hedgerow.core.policies import by_name
from hedgerow.errors import UsageError
from tests.assurance.evaluation.worlds import logged, setup_of


@pytest.fixture(scope="module")
def cli() -> CliRunner:
    if not main.app.registered_commands:
        main._collect()
    return CliRunner()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `exploring-more`, which a name finds."""
    path = tmp_path_factory.mktemp("cli") / "drive.journal"
    logged(path, setup_of("drive-mixed", 4, count=400), by_name("exploring-more"))
    return path


def test_the_object_has_every_figure_by_every_estimator(cli: CliRunner, journal: Path) -> None:
    told = cli.invoke(main.app, ["evaluate", str(journal), "--policy", "hedgerow", "--json"])
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert (found["policy"], found["logged_policy"], found["requests"]) == ("ours", "exploring-more", 400)
    assert tuple(found["figures"]) == COLUMNS
    for figure in found["figures"].values():
        for kind in ("logged", "ips", "snips", "dr", "saves"):
            assert figure[kind]["low"] <= figure[kind]["mean"] <= figure[kind]["high"]
    assert 0 < found["support"]["effective"] <= 400


def test_the_table_says_what_to_make_of_it(cli: CliRunner, journal: Path) -> None:
    told = cli.invoke(main.app, ["evaluate", str(journal), "--policy", "hedgerow"])
    assert told.exit_code == 0
    words = " ".join(told.stdout.split())
    for each in ("'ours' per request", "'exploring-more' logged 400", "doubly robust", "cost mJ", "stays as logged"):
        assert each in words
    assert re.search(r"against the log: \d+\.\d mJ less a request \(95 %: \d+\.\d to \d+\.\d\)", words)
    assert re.search(r"support: the log chose the same in \d+\.\d% of 400 requests", words)


def test_a_refusal_is_a_finding_not_a_fault(cli: CliRunner, journal: Path, tmp_path: Path) -> None:
    certain = tmp_path / "certain"
    logged(certain, setup_of("steady", 4, count=120), by_name("ours"))
    told = cli.invoke(main.app, ["evaluate", str(certain), "--policy", "device-only"])
    assert told.exit_code == 1
    assert "refused: the journal of 'ours' never drew" in told.stdout
    told = cli.invoke(main.app, ["evaluate", str(certain), "--policy", "device-only", "--json"])
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert found["support"]["outside"] > 0.9
    assert "Enough would be" in found["refused"]


@pytest.mark.parametrize(
    ("policy", "words"),
    [("hope", "no policy 'hope'; there are"), ("only:nothing", "no arm 'nothing'"), ("cloud-only", "holds no reserve")],
)
def test_a_policy_that_cannot_be_asked_is_your_input(cli: CliRunner, journal: Path, policy: str, words: str) -> None:
    told = cli.invoke(main.app, ["evaluate", str(journal), "--policy", policy])
    assert isinstance(told.exception, UsageError)
    assert words in str(told.exception)


def test_what_is_no_journal_is_your_input(cli: CliRunner, tmp_path: Path) -> None:
    told = cli.invoke(main.app, ["evaluate", str(tmp_path / "none"), "--policy", "ours"])
    assert isinstance(told.exception, UsageError)
    assert "cannot read the journal" in str(told.exception)
