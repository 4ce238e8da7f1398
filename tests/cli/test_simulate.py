"""`hedgerow simulate --campaign`: one JSON object with the judged fields, clear words for what cannot be, its exit codes."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from hedgerow.cli import main
from hedgerow.errors import UsageError
from hedgerow.simulation import campaign, shrink
from hedgerow.simulation.campaign import try_scene

JUDGED = ("requests", "seeds", "faults_drawn", "reserves_used", "violations", "requests_per_s")
WORLD = ["simulate", "--campaign", "--requests", "30", "--workers", "1"]


@pytest.fixture(scope="module")
def cli() -> CliRunner:
    if not main.app.registered_commands:
        main._collect()
    return CliRunner()


def test_a_campaign_is_told_in_one_object(cli: CliRunner) -> None:
    told = cli.invoke(main.app, [*WORLD, "--seeds", "3", "--seed", "7", "--json"])
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert all(name in found for name in JUDGED)
    assert (found["requests"], found["seeds"], found["violations"], found["first"]) == (90, 3, 0, 7)


def test_no_violation_is_told_with_what_it_is_worth(cli: CliRunner) -> None:
    told = cli.invoke(main.app, [*WORLD, "--seeds", "2"])
    assert "fewer than 5.0e-02 of such requests" in told.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [(["--only", "x"], "as a shrunk campaign prints it"), (["--shrink"], "nothing is violated in this world")],
)
def test_what_cannot_be_is_the_users_fault(cli: CliRunner, more: list[str], words: str) -> None:
    told = cli.invoke(main.app, [*WORLD, "--seeds", "1", *more])
    assert isinstance(told.exception, UsageError)
    assert words in str(told.exception)


def test_a_violation_ends_with_one_and_its_line_repeats_it(cli: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(body: Any) -> None:
        body.core._decide = lambda flight: None

    def planted(*given: Any, **named: Any) -> Any:
        return try_scene(*given, **named, plant=broken)

    monkeypatch.setattr(campaign, "try_scene", planted)
    monkeypatch.setattr(shrink.shrink, "__kwdefaults__", {"only": None, "try_one": planted})
    told = cli.invoke(main.app, [*WORLD, "--seeds", "2", "--json"])
    assert told.exit_code == 1
    first = json.loads(told.stdout)["violated"][0]
    told = cli.invoke(main.app, [*WORLD, "--seed", str(first["seed"]), "--shrink", "--json"])
    assert told.exit_code == 1
    cut = json.loads(told.stdout)
    assert (cut["invariant"], cut["requests"], cut["faults"]) == (first["invariant"], 1, [])
    told = cli.invoke(main.app, [*WORLD, "--seed", str(first["seed"]), "--seeds", "1", "--only", cut["only"]])
    assert told.exit_code == 1
    assert cut["repeat"] in told.stdout
