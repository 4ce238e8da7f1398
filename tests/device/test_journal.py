"""The journal: what it keeps replays to the same decisions; what is wrong with it is told with its line."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow.core import Limits, Prices
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.records import MS, Status, Stream
from hedgerow.device import journal as journals
from hedgerow.device.journal import Header, Journal, Replayed, read_steps, replay
from hedgerow.device.session import Session
from hedgerow.errors import HostError, UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.core.random_world import MARGINS
from tests.core.world import small_table, world
from tests.device.small import tagged


def header() -> Header:
    return Header(small_table(), "ours", Limits(), MARGINS, Prices(money_mj=0.1), BudgetSettings(energy_mw=1 / 3))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The journal of 30 requests in a small world."""
    stream = Stream("s", 150 * MS, period_ns=100 * MS)
    played = world(stream)
    played.periodic(stream, 30)
    played.run(10_000 * MS)
    path = tmp_path / "journal"
    made = Header(played.core.table, "ours", played.core.limits, played.core.margins, Prices(), BudgetSettings())
    opened = [(0, r.StreamOpened(stream), made.core().step(r.StreamOpened(stream), now_ns=0))]
    core = made.core()
    journal = Journal(path, made)
    for now, event, _ in [*opened, *played.steps]:
        journal.append(now, event, core.step(event, now_ns=now))
    journal.close()
    return path


def test_a_header_comes_back_as_it_was() -> None:
    first, again = header(), Header.decode(header().encode())
    assert again.encode() == first.encode()
    assert (again.table.arms, again.table.locals) == (first.table.arms, first.table.locals)
    assert (again.limits, again.margins, again.prices, again.budgets) == (
        first.limits,
        first.margins,
        first.prices,
        first.budgets,
    )


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"format": 1}', b"\xff\xfe", b'{"format": 1, "table": 3}'])
def test_another_files_first_line_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError, match="not a journal"):
        Header.decode(text)


def test_what_models_are_to_each_other_comes_back_and_may_be_missing() -> None:
    kin = (replace(each, trunk="big", shared=0) if each.name == "small" else each for each in small_table().locals)
    table = replace(
        small_table(), locals=tuple(replace(each, precision_of="x") if each.name == "big" else each for each in kin)
    )
    line_ = replace(header(), table=table).encode()
    assert Header.decode(line_).table.locals == table.locals
    old = json.loads(line_)
    for each in old["table"]["locals"]:
        del each["trunk"], each["shared"], each["precision_of"]
    assert Header.decode(json.dumps(old).encode()).table.locals == small_table().locals


def test_a_newer_format_is_named() -> None:
    with pytest.raises(UsageError, match="format 9; this version reads format 1"):
        Header.decode(b'{"format": 9}')


def test_a_replay_says_the_same_and_counts(kept: Path) -> None:
    replayed = replay(kept)
    assert replayed.difference is None
    assert replayed.decisions == 30
    assert replayed.steps == len(kept.read_bytes().splitlines()) - 1


def test_a_doctored_journal_is_told_at_its_first_difference(kept: Path) -> None:
    lines = kept.read_bytes().splitlines(keepends=True)
    place = next(index for index, text in enumerate(lines) if b'"Decision"' in text and b'"request":7' in text)
    lines[place] = lines[place].replace(b'"reserve":"small"', b'"reserve":"big"', 1)
    kept.write_bytes(b"".join(lines))
    replayed = replay(kept)
    assert replayed.steps == place - 1
    assert replayed.difference is not None
    assert replayed.difference.startswith(f"step {place - 1}: was ")
    assert '"reserve":"big"' in replayed.difference


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_cut_short_is_told_with_its_number(kept: Path, cut: int) -> None:
    data = kept.read_bytes()
    kept.write_bytes(data[: -cut - 1])
    last = len(data.splitlines())
    with pytest.raises(UsageError, match=rf"journal, line {last}: not a step of a journal, or cut short"):
        replay(kept)


@pytest.mark.parametrize("length", [1, 12, 300])
def test_a_first_line_cut_short_is_told_as_such(kept: Path, length: int) -> None:
    kept.write_bytes(kept.read_bytes()[:length])
    with pytest.raises(UsageError, match="cut short within its first line"):
        replay(kept)


def test_another_file_of_one_line_is_not_taken_for_a_journal(tmp_path: Path) -> None:
    for text in (b'{"name": "x', b'{"format": 1}', b"text"):
        (tmp_path / "other").write_bytes(text)
        with pytest.raises(UsageError, match="not a journal"):
            replay(tmp_path / "other")


def test_missing_and_empty_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the journal"):
        read_steps(tmp_path / "none")
    (tmp_path / "empty").touch()
    with pytest.raises(UsageError, match="is empty"):
        read_steps(tmp_path / "empty")


def test_a_live_run_replays(task: Task, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Session(task, profile=profile, journal=path) as session:
        for number in range(20):
            session.answer(tagged(number))
    assert replay(path) == Replayed(replay(path).steps, 20, None)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="/dev/full is no device on this machine")
def test_a_full_disk_ends_the_journal_with_one_line_and_no_answer(
    task: Task, profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    with Session(task, profile=profile, journal="/dev/full", deadline_ms=500) as session:
        for number in range(30):
            assert session.answer(tagged(number)).status is Status.ANSWERED
    said = [text for text in capsys.readouterr().err.splitlines() if "journal" in text]
    assert said == [
        "hedgerow: the journal /dev/full ends here: No space left on device; free some space. Answers go on. "
        "[at fault: this machine]"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_that_fills_up_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        journal = Journal(disk / "journal", header())
        core = header().core()
        for now in range(3000):
            journal.append(now, r.TimerFired(), core.step(r.TimerFired(), now_ns=now))
        journal.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert journal.failure is not None
    assert "No space left" in journal.failure
    assert capsys.readouterr().err.count("ends here") == 1


@pytest.mark.parametrize("path", ["/nonexistent/journal", "/"])
def test_a_place_that_cannot_be_written_is_refused_at_once(task: Task, profile: Profile, path: str) -> None:
    with pytest.raises(HostError, match="cannot write the journal"):
        Session(task, profile=profile, journal=path)


def test_a_journal_ends_with_a_whole_line_at_its_limit(
    task: Task, profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, limit = tmp_path / "journal", 20_000
    with Session(task, profile=profile, deadline_ms=400, journal=path, journal_bytes_max=limit) as session:
        for number in range(60):
            assert session.answer(tagged(number)).status is Status.ANSWERED
    assert limit / 2 < path.stat().st_size <= limit
    replayed = replay(path)
    assert replayed.difference is None
    assert 0 < replayed.decisions < 60
    said = capsys.readouterr().err
    assert said.count("ends here: it has the 20000 bytes that it may have; begin another. Answers go on.") == 1


def test_after_a_gap_nothing_more_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journals, "_LINES_MAX", 5)
    journal, core = Journal(tmp_path / "journal", header()), header().core()
    for now in range(50):
        journal.append(now, r.TimerFired(), core.step(r.TimerFired(), now_ns=now))
    journal.close()
    assert journal.lost > 0
    assert "too slow" in capsys.readouterr().err
    replayed = replay(tmp_path / "journal")
    assert replayed.difference is None
    assert replayed.steps + journal.lost == 50
