"""What the owner is told of the server: each change once, each problem once until it answers again."""

from hedgerow.core import records as r
from hedgerow.device.herald import Herald


def moved(before: str, after: str) -> r.Outcome:
    return r.Outcome((r.BreakerMoved("cloud", before, after, "test"),))


def test_changes_are_told_once_each_and_in_order() -> None:
    said: list[str] = []
    herald = Herald("box:1", said.append, stands_in=True)
    herald(0, r.ProbeLost(1), moved("probing", "open"))
    herald(1, r.ProbeLost(2), moved("probing", "open"))
    herald(2, r.ProbeAnswered(3, 1, 1, 1), moved("probing", "closed"))
    herald(3, r.TimerFired(), moved("closed", "open"))
    herald(4, r.ProbeLost(4), moved("probing", "open"))
    herald(5, r.ProbeAnswered(5, 1, 1, 1), moved("probing", "closed"))
    herald.close()
    assert said == [
        "the server at box:1 is not reached yet; the device answers alone until it is",
        "the server at box:1 answers again",
        "the server at box:1 no longer answers; the device answers alone until it does",
        "the server at box:1 answers again",
    ]


def test_a_distrusted_server_is_told_with_its_figures_and_so_is_its_return() -> None:
    said: list[str] = []
    herald = Herald("box:1", said.append, stands_in=True)
    found = r.RemoteDistrusted("cloud", audited=12, disagreed=9, expected=2.44, wealth=1003.2, false_alarm_rate=0.001)
    herald(0, r.Compared(40, "small", False), r.Outcome((found,)))
    herald(1, r.TrustRestored("cloud"), r.Outcome())
    herald.close()
    assert said == [
        "the server at box:1 gives answers that differ from the device's own more often than was measured: "
        "9 of 12 audited, 2.4 expected at most; remote answers are off until trust_again() [at fault: peer]",
        "the server at box:1 is trusted again",
    ]


def test_a_problem_is_told_once_and_says_what_stands_in() -> None:
    said: list[str] = []
    herald = Herald("box:1", said.append, stands_in=False)
    for _ in range(3):
        herald.problem("another task")
    herald(0, r.ProbeLost(1), r.Outcome())
    herald.close()
    assert said == ["another task [at fault: peer]; nothing answers in its place"]
