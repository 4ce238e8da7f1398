"""What is read out of a journal beside lateness: energy after an answer, and what probes cost."""

import pytest

from hedgerow.assurance import Evidence
from hedgerow.core import records as r
from hedgerow.core.arms import Energy
from hedgerow.core.records import MS, Margins, Reason, Source, Status
from tests.assurance.test_lateness import decided, delivered, ran, step

ENERGY = Energy(active_mw=1000.0, radio_mw=500.0, radio_tail_mj=2.0)


def test_work_that_goes_on_after_the_answer_is_counted() -> None:
    answer = r.Delivered(0, Status.ANSWERED, Source.REMOTE, "cloud:big", Reason.REMOTE_IN_TIME, 40.0, 1.0, 0)
    steps = [
        decided(0, 0),
        step(20, r.TimerFired(), do=(r.Run("cpu", 1, 0, "small", 0, 0),)),
        step(40, r.AnswerArrived(0, 1, 10, 0, 0, 0), answer, do=(r.Cancel("cpu", 1),)),
        step(46, r.JobEnded("cpu", 1)),
    ]
    found = Evidence.of(steps, margins=Margins(), energy=ENERGY)
    assert found.energy_after_mj == {0: pytest.approx(26.0)}  # 26 ms at 1 W, as the core counts a cancelled job


def test_work_before_the_answer_is_in_the_answers_own_account() -> None:
    assert Evidence.of([decided(0, 0), *ran(0, 1, 20, 60)], margins=Margins()).energy_after_mj == {}


def test_probes_cost_bytes_and_energy_also_when_lost() -> None:
    probe = r.Probe(1, "cloud", 8192, True, 500 * MS)
    steps = [
        step(0, r.TimerFired(), do=(probe,)),
        step(50, r.ProbeAnswered(1, 30 * MS, 40 * MS, 8192)),
        step(60, r.TimerFired(), do=(r.Probe(2, "cloud", 8192, True, 500 * MS),)),
        step(560, r.ProbeLost(2)),
        step(600, r.TimerFired(), do=(r.Probe(3, "cloud", 8192, True, 500 * MS),)),
    ]
    found = Evidence.of(steps, margins=Margins(), energy=ENERGY).probes
    assert [(each.sent_ns, each.uplink_bytes) for each in found] == [(0, 8192), (60 * MS, 8192)]
    assert [each.energy_mj for each in found] == [pytest.approx(7.0), pytest.approx(2.0)]


def test_an_end_without_a_beginning_is_passed_over() -> None:
    steps = [step(5, r.JobEnded("cpu", 9)), step(6, r.ProbeLost(4)), step(7, r.TimerFired(), delivered(3, 7))]
    found = Evidence.of(steps, margins=Margins())
    assert (found.holds, found.probes, found.delivered_ns) == ([], [], {3: 7 * MS})
