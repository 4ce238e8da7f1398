"""What a first part of a payload is worth: asked for only where it betters the reserve, counted with its own agreement, and never
taken in the place of something better. Figures as in tests/core/test_timeline.py: captured at 10, due 89, `small` is right in 0.8."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow.core import Arm, ArmTable, CrossStep, Prices, RunStep
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.records import Reason, Source, Status
from hedgerow.core.views import PrefixAnswer
from hedgerow.journal import Header, line, replay
from tests.core.script import Script, kinds
from tests.core.test_exhaustive import LOCAL, SMALL
from tests.core.test_timeline import BRAKE, LOG, STREAM, VALUE
from tests.core.walker import MARGINS, MS

PREFIXES = ((0.5, 0.7), (0.65, 0.85), (0.8, 0.9))
CROSS = CrossStep("cloud", "ints", 9000, 2 * MS, 4 * MS, prefixes=PREFIXES)
CUT = Arm("cut", (CROSS, RunStep("cloud", "big", 0, 2, 5 * MS)), 0.97)
TABLE = ArmTable((LOCAL, CUT), (SMALL,))


def script(*streams: r.Stream, policy: str = "cut", table: ArmTable = TABLE) -> Script:
    return Script(table, *(streams or (STREAM,)), policy=policy)


def sent(s: Script, stream: str = "arm", size: int = 9000) -> r.Send:
    s.arrive(10, stream)
    (action,) = (each for each in s.encoded(12, 1, size) if isinstance(each, r.Send))
    return action


def part(s: Script, at_ms: float, prefix_bytes: int) -> tuple[r.Action, ...]:
    return s.do(at_ms, r.AnswerArrived(0, 1, 4000, 0, 0, 5 * MS, prefix_bytes=prefix_bytes))


def test_a_step_says_what_a_part_is_worth() -> None:
    assert [CROSS.least_bytes(1000, behind) for behind in (0.0, 0.7, 0.8, 0.85, 0.9)] == [500, 650, 650, 800, 0]
    assert CROSS.least_bytes(7, 0.0) == 4  # no less than its share
    assert [CROSS.quality_of(share) for share in (0.4, 0.5, 0.64, 0.65, 0.99)] == [0.0, 0.7, 0.7, 0.85, 0.9]
    assert replace(CROSS, prefixes=()).least_bytes(1000, 0.0) == 0


def test_the_least_part_that_betters_the_reserve_is_asked_for_and_waited_for_until_the_way_back() -> None:
    """1.25 x (a trip of 1 ms and 5 ms there) and the timer's 2 ms before the moment at which it is due."""
    action = sent(script())
    assert (action.prefix_bytes, action.prefix_after_ns) == (5850, int((89 - 12 - 1.25 * 6 - 2) * MS))


def test_what_comes_from_a_part_is_delivered_and_says_so() -> None:
    s = script()
    sent(s)
    actions = part(s, 60, 5850)
    assert kinds(actions) == ["Deliver", "Forget"]
    assert actions[0] == r.Deliver(0, Status.ANSWERED, Source.REMOTE, "cut", "big", Reason.REMOTE_IN_TIME)
    assert s.all(PrefixAnswer) == [PrefixAnswer(0, 5850, 9000, 0.85, 0.8)]


def test_the_whole_may_come_all_the_same_and_is_what_it_ever_was() -> None:
    s = script()
    sent(s)
    assert kinds(s.answered(40, 0)) == ["Deliver", "Forget"]
    assert s.all(PrefixAnswer) == []


def test_a_part_that_is_no_better_than_the_reserve_counts_as_no_answer() -> None:
    s = script()
    sent(s)
    assert part(s, 30, 5000) == (r.Run("cpu", 2, 0, "small", 0, 1),)  # the reserve, at once
    assert s.all(PrefixAnswer) == [PrefixAnswer(0, 5000, 9000, 0.7, 0.8)]
    assert s.ran(50, 2, 1, 8, 12)[0] == r.Deliver(0, Status.ANSWERED, Source.LOCAL, "cut", "small", Reason.LOCAL_DONE)


def test_a_part_never_takes_the_place_of_a_better_answer_that_is_held() -> None:
    s = script()
    sent(s)
    s.timer(67)
    assert s.ran(80, 2, 1, 6, 7) == ()
    (told, _) = part(s, 82, 5000)
    assert told == r.Deliver(0, Status.ANSWERED, Source.LOCAL, "cut", "small", Reason.LOCAL_DONE)


def test_a_better_part_takes_the_place_of_what_is_held() -> None:
    s = script()
    sent(s)
    s.timer(67)
    s.ran(80, 2, 1, 6, 7)
    (told, _) = part(s, 82, 7200)
    assert told == r.Deliver(0, Status.ANSWERED, Source.REMOTE, "cut", "big", Reason.REMOTE_IN_TIME)


def test_where_no_part_is_better_or_nothing_is_urgent_it_is_all_or_nothing() -> None:
    strong = ArmTable((replace(LOCAL, quality=0.95), CUT), (replace(SMALL, quality=0.95),))
    assert (sent(script(table=strong)).prefix_bytes, sent(script(table=strong)).prefix_after_ns) == (0, 0)
    assert sent(script(LOG), "log").prefix_bytes == 0
    bare = ArmTable((LOCAL, replace(CUT, steps=(replace(CROSS, prefixes=()), CUT.steps[1]))), (SMALL,))
    assert sent(script(table=bare)).prefix_bytes == 0


def test_without_anything_behind_it_any_part_will_do() -> None:
    assert sent(script(policy="cloud-only")).prefix_bytes == 4500
    assert sent(script(VALUE), "value").prefix_bytes == 5850  # a safe value has no agreement, its reserve has


def test_for_a_safety_request_a_part_is_advice() -> None:
    s = script(BRAKE)
    s.arrive(10, "brake")
    (send,) = (each for each in s.encoded(12, 1) if isinstance(each, r.Send))
    assert send.prefix_bytes == 5850
    s.ran(30, 2, 1, 6, 7)
    assert kinds(part(s, 40, 5850)) == ["Advise", "Forget"]


def test_the_link_learns_from_what_crossed() -> None:
    """Sent at 12, heard of at 14, answered at 61 behind 5 ms of computing: 42 ms for the 5850 bytes behind the trip."""
    s = script()
    sent(s)
    s.do(14, r.ChunkAcked(0, 1, 1024))
    part(s, 61, 5850)
    (seen,) = s.all(r.RemoteObserved)
    assert isinstance(seen, r.RemoteObserved)
    assert (seen.round_trip_ms, seen.cloud_ms, seen.late, seen.lost) == (2.0, 5.0, False, False)
    assert seen.mbit_per_s == pytest.approx(5850 * 8 / 42e3)


def test_the_link_learns_from_what_came_behind_the_part_too() -> None:
    s = script()
    sent(s)
    s.do(14, r.ChunkAcked(0, 1, 1024))
    s.do(61, r.ChunkAcked(0, 1, 7000))
    part(s, 61, 5850)
    (seen,) = s.all(r.RemoteObserved)
    assert isinstance(seen, r.RemoteObserved)
    assert seen.mbit_per_s == pytest.approx(7000 * 8 / 42e3)


def test_a_late_answer_to_a_part_is_only_learned_from() -> None:
    s = script()
    sent(s)
    s.timer(67)
    s.ran(80, 2, 1, 6, 7)
    s.timer(87)
    assert part(s, 95, 7200) == ()
    assert [type(each) for each in s.told()] == [r.RemoteObserved]


@pytest.mark.parametrize("older", [False, True])
def test_a_journal_replays_and_so_does_one_that_knows_of_no_parts(tmp_path: Path, older: bool) -> None:
    table = (
        TABLE
        if not older
        else ArmTable((LOCAL, replace(CUT, steps=(replace(CROSS, prefixes=()), CUT.steps[1]))), (SMALL,))
    )
    header = Header(table, "only:cut", r.Limits(), MARGINS, Prices(), BudgetSettings())
    core, lines, at = header.core(), [header.encode()], 0
    events: list[tuple[float, r.Event]] = [
        (0, r.StreamOpened(STREAM)), (0, r.LinkUp("cloud")), (2, r.ProbeAnswered(1, MS, 2 * MS, 8192)),
        (10, r.RequestArrived(0, "arm", 10 * MS)), (12, r.EncodeDone("cpu", 1, 9000, 2 * MS)),
        (60, r.AnswerArrived(0, 1, 4000, 0, 0, 5 * MS, prefix_bytes=0 if older else 5850)),
    ]  # fmt: skip
    for at, (moment, event) in enumerate(events):
        now = int(moment * MS)
        lines.append(line(at, now, event, core.step(event, now_ns=now)))
    text = b"".join(lines)
    if older:
        text = _without_parts(text)
    path = tmp_path / "journal"
    path.write_bytes(text)
    found = replay(path)
    assert (found.difference, found.steps, found.decisions) == (None, len(events), 1)


def _without_parts(text: bytes) -> bytes:
    """As an older version wrote it."""
    for words in (b',"prefix_bytes":0,"prefix_after_ns":0', b',"prefix_bytes":0', b',"prefixes":[]'):
        assert words in text
        text = text.replace(words, b"")
    assert b"prefix" not in text
    assert [json.loads(each) for each in text.splitlines()]
    return text
