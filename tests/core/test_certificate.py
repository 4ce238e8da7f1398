"""Modes: when a certificate is withdrawn, when a mode is left for heat, and how the way back cannot flap."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core import Stream
from hedgerow.core import records as r
from hedgerow.core.certificate import Allowance, Blocking, Certificate, Governor, Mode, Rule
from hedgerow.core.records import SECOND
from hedgerow.errors import UsageError

MODES = tuple(
    Mode(name, (Allowance("camera", ("small",)),), (Blocking("cpu", 10),)) for name in ("full", "less", "least")
)
RULE = Rule(
    exceedances_max=2,
    window_ns=10 * SECOND,
    return_after_ns=20 * SECOND,
    return_after_max_ns=160 * SECOND,
    hot_celsius=80.0,
    cool_celsius=70.0,
    hot_step_ns=5 * SECOND,
)


class Governed:
    """A Governor with its records, on a clock of whole seconds."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.records: list[r.Record] = []
        self.governor = Governor(Certificate("digest", (Stream("camera", 100),), MODES, rule), self.records)

    def exceeded(self, *seconds: float) -> None:
        for each in seconds:
            self.look(each)
            self.governor.exceeded("run", int(each * SECOND), int(each * SECOND))

    def look(self, second: float) -> str:
        self.governor.look(int(second * SECOND))
        return self.governor.mode.name

    def kinds(self) -> list[str]:
        return [type(each).__name__ for each in self.records]


def test_a_rate_of_exceedances_beyond_the_declared_one_withdraws_the_certificate() -> None:
    it = Governed()
    it.exceeded(1, 2)
    assert it.records == []
    it.exceeded(3)
    assert it.kinds() == ["CertificateWithdrawn", "ModeChanged"]
    withdrawn, changed = it.records
    assert withdrawn == r.CertificateWithdrawn("digest", "full", "3 bounds exceeded in 2.000 s (run x3)")
    assert changed == r.ModeChanged("full", "less", True, "3 bounds exceeded in 2.000 s (run x3)")


def test_the_same_exceedances_over_a_longer_time_do_not() -> None:
    it = Governed()
    it.exceeded(1, 2, 12, 13, 23, 24, 34)
    assert it.records == []


def test_what_is_told_at_one_moment_counts_once() -> None:
    it = Governed()
    it.exceeded(1, 1, 1, 2, 2, 2)
    assert it.records == []


def test_what_began_in_a_former_mode_says_nothing_against_this_one() -> None:
    it = Governed()
    it.governor.broken("late", 10 * SECOND, 9 * SECOND)
    before = len(it.records)
    for second in (11, 12, 13, 14):
        it.governor.exceeded("run", second * SECOND, 10 * SECOND)
    it.governor.broken("late", 15 * SECOND, 8 * SECOND)
    assert len(it.records) == before
    it.governor.broken("late", 16 * SECOND, 11 * SECOND)
    assert it.governor.mode.name == "least"


def test_one_broken_promise_is_enough() -> None:
    it = Governed()
    it.governor.broken("request 7 ended late", SECOND, SECOND)
    assert it.kinds() == ["CertificateWithdrawn", "ModeChanged"]
    assert "request 7" in it.records[0].because  # type: ignore[union-attr]


def test_beyond_the_last_mode_its_rules_stay_but_nothing_is_certified() -> None:
    it = Governed()
    for second in (1, 2, 3):
        it.governor.broken("late", second * SECOND, second * SECOND)
    assert it.governor.mode.name == "least"
    assert not it.governor.certified
    before = list(it.records)
    it.governor.broken("late", 4 * SECOND, 4 * SECOND)
    it.exceeded(5, 5, 5)
    assert it.records == before  # what is withdrawn already is not withdrawn again


def test_the_way_back_is_one_mode_at_a_time_after_quiet() -> None:
    it = Governed()
    it.governor.broken("late", 0, 0)
    it.governor.broken("late", SECOND, SECOND)
    assert it.look(20.9) == "least"
    assert it.look(21) == "less"
    assert it.look(40.9) == "less"
    assert it.look(41) == "full"
    assert it.governor.due_ns() is None


def test_a_relapse_doubles_the_wait_and_going_further_down_does_not() -> None:
    it = Governed()
    it.governor.broken("late", 0, 0)
    assert it.look(20) == "full"
    it.governor.broken("late", 25 * SECOND, 25 * SECOND)  # again: 40 s
    it.governor.broken("late", 26 * SECOND, 26 * SECOND)  # further: still 40
    assert it.look(65.9) == "least"
    assert it.look(66) == "less"
    it.governor.broken("late", 70 * SECOND, 70 * SECOND)  # 80
    assert it.look(149.9) == "least"
    assert it.look(150) == "less"


def test_an_exceedance_below_the_rate_starts_the_quiet_anew() -> None:
    it = Governed()
    it.governor.broken("late", 0, 0)
    it.exceeded(15)
    assert it.look(34) == "less"
    assert it.look(35) == "full"


def test_heat_moves_on_before_a_bound_breaks_and_holds_until_it_is_cool() -> None:
    it = Governed()
    it.governor.press("heat", pressing=True, now_ns=0)
    assert it.look(0) == "less"
    assert "CertificateWithdrawn" not in it.kinds()
    assert it.look(4.9) == "less"
    assert it.look(5) == "least"  # still hot
    assert it.governor.due_ns() is None  # there is nowhere further to go
    assert it.look(1000) == "least"
    assert it.governor.certified
    it.governor.press("heat", pressing=None, now_ns=1000 * SECOND)
    assert it.look(2000) == "least"
    it.governor.press("heat", pressing=False, now_ns=2000 * SECOND)
    assert it.look(2019) == "least"
    assert it.look(2020) == "less"


def test_a_long_quiet_forgets_that_there_were_relapses() -> None:
    it = Governed()
    for early in (0, 1, 2):
        it.governor.broken("late", early * SECOND, early * SECOND)
        it.look(early)
    second = 2.0
    while (due := it.governor.due_ns()) is not None:
        second = due / SECOND
        it.look(second)
    assert it.governor.mode.name == "full"
    it.governor.broken("late", int(second + 1000) * SECOND, int(second + 1000) * SECOND)
    due = it.governor.due_ns()
    assert due == int(second + 1000) * SECOND + RULE.return_after_ns


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from(("broken", "exceeded", "hot", "cool"))), max_size=200))
def test_modes_cannot_flap(story: list[tuple[int, str]]) -> None:
    """Whatever happens: a return comes no sooner than the wait after the last change, so returns in any hour are few."""
    it, returns, left = Governed(), [], [0.0]

    def note(second: float) -> None:
        for record in it.records:
            if isinstance(record, r.ModeChanged) and record.because.startswith("quiet"):
                returns.append(second)
                assert second - left[-1] >= RULE.return_after_ns / SECOND
                left.append(second)
            elif isinstance(record, r.ModeChanged):
                left.append(second)
        it.records.clear()

    for second, what in sorted(story):
        while (due := it.governor.due_ns()) is not None and due <= second * SECOND:
            it.governor.look(due)
            note(due / SECOND)
        match what:
            case "broken":
                it.governor.broken("late", second * SECOND, second * SECOND)
            case "exceeded":
                it.governor.exceeded("run", second * SECOND, second * SECOND)
            case _:
                it.governor.press("heat", pressing=what == "hot", now_ns=second * SECOND)
        note(second)
        assert it.governor.certified or it.governor.mode is MODES[-1]
    assert len(returns) <= 3000 * SECOND // RULE.return_after_ns


def test_a_certificate_without_a_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="without a mode"):
        Governor(Certificate("digest", (), (), RULE), [])


def test_an_unknown_stream_is_refused_by_certificate_and_mode() -> None:
    with pytest.raises(UsageError, match="'lidar' is not in the certificate"):
        MODES[0].allowance("lidar")
    with pytest.raises(UsageError, match="'lidar' is not in the certificate"):
        Certificate("digest", (Stream("camera", 100),), MODES).stream("lidar")
    assert MODES[0].blocking_ns("npu") == 0
