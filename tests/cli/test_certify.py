"""`hedgerow certify` as typed: what it prints, writes and refuses."""

import json
from pathlib import Path

import pytest

from hedgerow.assurance.certification import load
from hedgerow.cli.certify import certify
from hedgerow.errors import HedgerowError
from hedgerow.profiling import Profile, make_profile
from tests.cli.typed import Ended, hedgerow
from tests.profiling.tasks import picture_task, pictures

STREAMS = """
format = 1
[[stream]]
name = "front"
period_ms = 4000
deadline_ms = 3000
capture_delay_ms = 20
jitter_ms = 5
criticality = "safety"
reserves = ["small"]
safe_value = { brake = 1.0 }
[[stream]]
name = "side"
period_ms = 5000
deadline_ms = 5000
reserves = ["small", "big"]
"""


def run(*arguments: str | Path) -> Ended:
    return hedgerow("certify", *arguments)


@pytest.fixture(scope="module")
def profile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certify")
    made = make_profile(picture_task(folder), pictures(12), seconds=1.0, quick=True)
    made.save(folder / "p.json")
    return folder / "p.json"


@pytest.fixture
def streams_file(tmp_path: Path) -> Path:
    path = tmp_path / "streams.toml"
    path.write_text(STREAMS)
    return path


def test_it_proves_writes_and_checks(profile_file: Path, streams_file: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "cert.json"
    ended = run(streams_file, "--profile", profile_file, "-o", certificate)
    assert ended.returncode == 0, ended.stderr
    for part in (
        "feasible",
        "front",
        "side",
        "slack",
        "no [[mode]] is declared",
        "fewer than 1,000 samples",
        str(certificate),
    ):
        assert part in ended.stdout
    assert load(certificate).safe_values == {"front": {"brake": 1.0}}
    checked = run("--check", certificate, "--profile", profile_file)
    assert checked.returncode == 0, checked.stderr
    assert "accepted" in checked.stdout
    assert json.loads(run("--check", certificate, "--json").stdout)["accepted"] is True


def test_a_checker_that_refuses_what_was_just_proven_is_our_fault_and_nothing_is_written(
    profile_file: Path, streams_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hedgerow.assurance.certification.checker.check", lambda document: ["margins do not follow"])
    with pytest.raises(HedgerowError, match=r"prover and the checker disagree.*margins do not follow.*report") as told:
        certify(streams_file, profile=profile_file, output=tmp_path / "cert.json")
    assert type(told.value) is HedgerowError
    assert not (tmp_path / "cert.json").exists()


def test_a_false_claim_and_another_profile_are_rejected(profile_file: Path, streams_file: Path, tmp_path: Path) -> None:
    certificate, other = tmp_path / "cert.json", tmp_path / "other.json"
    made = json.loads(run(streams_file, "--profile", profile_file, "-o", certificate, "--json").stdout)
    assert made["verdict"] == "feasible"
    slack = made["modes"][0]["lanes"][0]["streams"][0]["slack_ns"]
    text = certificate.read_text()
    certificate.write_text(text.replace(f'"slack_ns": {slack}', f'"slack_ns": {slack + 1}', 1))
    ended = run("--check", certificate)
    assert ended.returncode == 1
    assert "streams[0].slack_ns does not follow" in ended.stdout
    certificate.write_text(text)
    found = json.loads(profile_file.read_text())
    found["made"] = "2020-01-01T00:00:00+00:00"
    other.write_text(json.dumps(found))
    Profile.load(other)
    ended = run("--check", certificate, "--profile", other)
    assert ended.returncode == 1
    assert "inputs.profile is not as in this profile" in ended.stdout


def test_what_is_infeasible_is_shown_and_mended(profile_file: Path, streams_file: Path, tmp_path: Path) -> None:
    streams_file.write_text(STREAMS.replace("deadline_ms = 3000", "deadline_ms = 35"))
    ended = run(streams_file, "--profile", profile_file, "-o", tmp_path / "cert.json", "--run-counterexample")
    assert ended.returncode == 1, ended.stderr
    for part in (
        "infeasible",
        "late by",
        "mends it",
        "front: a deadline of at least",
        "turn by turn",
        "no certificate",
    ):
        assert part in ended.stdout
    assert not (tmp_path / "cert.json").exists()
    found = json.loads(run(streams_file, "--profile", profile_file, "--json").stdout)
    assert found["verdict"] == "infeasible"
    mend = next(each for each in found["lanes"][0]["mends"] if each["kind"] == "deadline")
    streams_file.write_text(STREAMS.replace("deadline_ms = 3000", f"deadline_ms = {mend['ns'] / 1e6}"))
    assert run(streams_file, "--profile", profile_file).returncode == 0


def test_the_selftest_counts() -> None:
    ended = run("--selftest", "16", "--seed", "3", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["sets"] == 16
    assert found["late_in_certified"] == 0
    assert found["mutated"] == found["mutated_rejected"] == found["certified"] > 0


def test_wrong_input_is_one_clear_line(profile_file: Path, streams_file: Path, tmp_path: Path) -> None:
    unknown, cut, full = tmp_path / "unknown.toml", tmp_path / "cut.json", tmp_path / "full.json"
    unknown.write_text(STREAMS.replace('"small", "big"', '"small", "bigger"'))
    assert run(streams_file, "--profile", profile_file, "-o", full).returncode == 0
    cut.write_bytes(full.read_bytes()[:-100])
    for arguments, words in (
        ((unknown, "--profile", profile_file), "reserve 'bigger' is not in the profile"),
        (("--check", cut), "not a whole certificate"),
        (("--check", tmp_path / "none.json"), "no certificate"),
        (("--check", profile_file), "is not a certificate"),
        ((tmp_path / "none.toml", "--profile", profile_file), "no streams file"),
        ((tmp_path, "--profile", profile_file), "folder"),
        ((profile_file, "--profile", profile_file), "not TOML"),
        ((streams_file,), "--profile"),
        ((streams_file, "--profile", streams_file), "not a whole profile"),
        ((streams_file, "--selftest", "3"), "one of them"),
        (("--selftest", "0"), "give 1 to"),
    ):
        ended = run(*arguments)
        assert ended.returncode == 2, ended.stdout
        assert words in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1
