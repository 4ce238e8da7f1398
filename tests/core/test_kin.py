"""Branches and copies in another precision: what a run leaves for its kin, and what arms, reserves and holds make of it.

"trunk": segments of 4, 10, 10 and 20 ms (bounds; medians three quarters); its joint 1 lies behind 14 ms, joint 2 behind 24. "early"
leaves it at joint 1 and takes 2 ms more, "later" at joint 2 and 2 ms more. "quick" is the trunk in another precision, at half the time.
"""

from dataclasses import replace

import pytest

from hedgerow.core import Arm, ArmTable, Criticality, CrossStep, GateStep, LocalModel, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.arms import holder
from hedgerow.core.certificate import Allowance, Blocking, Certificate, Mode
from hedgerow.core.flight import Flight, Primary
from hedgerow.errors import UsageError
from tests.core.script import Script

MS = r.MS


def model(name: str, bounds_ms: tuple[float, ...], quality: float, trunk: str = "", shared: int = -1) -> LocalModel:
    bounds = tuple(round(each * MS) for each in bounds_ms)
    medians = tuple(each * 3 // 4 for each in bounds)
    tails = tuple(sum(medians[first:]) for first in range(len(medians)))
    tail_bounds = tuple(sum(bounds[first:]) for first in range(len(bounds)))
    return LocalModel(name, "cpu", quality, medians, bounds, tails, tail_bounds, trunk=trunk, shared=shared)


TRUNK = model("trunk", (4, 10, 10, 20), 0.99)
EARLY = model("early", (4, 10, 2), 0.80, "trunk", 1)
LATER = model("later", (4, 10, 10, 2), 0.90, "trunk", 2)
QUICK = replace(model("quick", (4, 5, 5, 10), 0.95), precision_of="trunk")


def run(of: LocalModel, first: int = 0, last: int | None = None, tier: str = "device") -> RunStep:
    end = of.last if last is None else last
    return RunStep(tier, of.name, first, end, sum(of.segment_median_ns[first : end + 1]))


def cross(codec: str = "q4") -> CrossStep:
    return CrossStep("cloud", codec, 4000, MS, 2 * MS)


GATE = GateStep(0.9, 0.5)
ARMS = (
    Arm("local:trunk", (run(TRUNK),), 0.99),
    Arm("local:early", (run(EARLY),), 0.80),
    Arm("exits", (run(EARLY), GATE, run(LATER, 2), GATE, run(TRUNK, 3)), 0.97),
    Arm("exit then split", (run(EARLY), GATE, cross(), run(TRUNK, 2, tier="cloud")), 0.98),
    Arm("split", (run(TRUNK, 0, 1), cross(), run(TRUNK, 2, tier="cloud")), 0.99),
    Arm("mixed split", (run(QUICK, 0, 1), cross(), run(TRUNK, 2, tier="cloud")), 0.97),
    Arm("mixed here", (run(QUICK, 0, 1), run(TRUNK, 2)), 0.97),
)
TABLE = ArmTable(ARMS, (TRUNK, EARLY, LATER, QUICK))
EXITS_ONLY = ArmTable(ARMS[:5], (TRUNK, EARLY, LATER))
CAMERA = Stream("camera", 100 * MS)
BRAKE = Stream("brake", 100 * MS, Criticality.SAFETY)


def gated(
    script: Script, at_ms: float, job: int, last: int, confidence: float, *times_ms: float
) -> tuple[r.Action, ...]:
    return script.do(at_ms, r.RunDone("cpu", job, last, tuple(int(each * MS) for each in times_ms), confidence))


def runs(actions: tuple[r.Action, ...]) -> list[tuple[str, int, int]]:
    return [(each.model, each.first, each.last) for each in actions if isinstance(each, r.Run)]


def deliveries(actions: tuple[r.Action, ...]) -> list[tuple[str, r.Source, r.Reason]]:
    return [(each.model, each.source, each.reason) for each in actions if isinstance(each, r.Deliver)]


def test_a_run_leaves_tensors_for_its_kin() -> None:
    left = {last: dict(TABLE.left_by("trunk", last)) for last in range(4)}
    assert left[0] == {"trunk": 0, "early": 0, "later": 0}
    assert left[1] == {"trunk": 1, "early": 1, "later": 1}
    assert left[2] == {"trunk": 2, "later": 2}  # past where "early" leaves it: those tensors are gone
    assert left[3] == {"trunk": 3}
    assert dict(TABLE.left_by("early", 2)) == {"early": 2, "trunk": 1, "later": 1}
    assert dict(TABLE.left_by("later", 3)) == {"later": 3, "trunk": 2}  # joint 1 was passed without a stop
    assert dict(TABLE.left_by("later", 1)) == {"later": 1, "trunk": 1, "early": 1}
    assert dict(TABLE.left_by("quick", 1)) == {"quick": 1}  # alike is not the same


def test_another_precision_may_go_on_where_one_stopped() -> None:
    models = {each.name: each for each in TABLE.locals}
    assert holder(models, "trunk", 1, {"quick": 1}) == "quick"
    assert holder(models, "trunk", 1, {"quick": 1, "trunk": 1}) == "trunk"
    assert holder(models, "trunk", 2, {"quick": 1}) == ""
    assert holder(models, "early", 1, {"quick": 1}) == ""


@pytest.mark.parametrize("shared", [-1, 2, 7])
def test_kin_that_cannot_be_is_refused(shared: int) -> None:
    wrong = replace(EARLY, shared=shared)
    with pytest.raises(UsageError, match="'early' shares segments 0 to"):
        ArmTable(ARMS[:1], (TRUNK, wrong))
    with pytest.raises(UsageError, match="of 'trunk', which cannot be"):
        ArmTable((Arm("local:early", (run(EARLY),), 0.8),), (EARLY,))


def test_exits_go_on_from_what_is_kept_until_one_is_sure() -> None:
    script = Script(EXITS_ONLY, CAMERA, policy="exits")
    assert runs(script.arrive(10, "camera")) == [("early", 0, 2)]
    assert runs(gated(script, 22, 1, 2, 0.5, 3, 7.5, 1.5)) == [("later", 2, 3)]
    assert runs(gated(script, 32, 2, 3, 0.6, 7.5, 1.5)) == [("trunk", 3, 3)]
    assert deliveries(gated(script, 47, 3, 3, 0.7, 15)) == [("trunk", r.Source.LOCAL, r.Reason.LOCAL_DONE)]


@pytest.mark.parametrize(("allowed", "chosen"), [(("trunk",), "trunk"), (("trunk", "early", "later"), "exits")])
def test_a_gate_lets_no_model_answer_that_the_certificate_does_not_name(allowed: tuple[str, ...], chosen: str) -> None:
    mode = Mode("all", (Allowance("camera", allowed),), (Blocking("cpu", 50 * MS),))
    script = Script(EXITS_ONLY, policy="exits", certificate=Certificate("x", (CAMERA,), (mode,)))
    script.arrive(10, "camera")
    assert [each.arm for each in script.told() if isinstance(each, r.Decision)] == [chosen]


def test_a_sure_exit_ends_it() -> None:
    script = Script(EXITS_ONLY, CAMERA, policy="exits")
    script.arrive(10, "camera")
    actions = gated(script, 22, 1, 2, 0.95, 3, 7.5, 1.5)
    assert deliveries(actions) == [("early", r.Source.LOCAL, r.Reason.CONFIDENT_AT_GATE)]
    assert runs(actions) == []


def test_what_follows_an_exit_is_optional_and_its_answer_is_held() -> None:
    script = Script(EXITS_ONLY, CAMERA, policy="exits")
    script.arrive(10, "camera")
    gated(script, 22, 1, 2, 0.5, 3, 7.5, 1.5)
    actions = script.timer(107)  # due at 110, less 1 ms to deliver and 2 ms for the timer
    assert deliveries(actions) == [("early", r.Source.LOCAL, r.Reason.HOLD_ENDED)]
    assert any(isinstance(each, r.Cancel) for each in actions)


def test_a_safety_request_waits_for_the_devices_own_better_answer() -> None:
    script = Script(EXITS_ONLY, BRAKE, policy="exits")
    assert runs(script.arrive(10, "brake")) == [("early", 0, 2)]
    actions = gated(script, 22, 1, 2, 0.5, 3, 7.5, 1.5)
    assert runs(actions) == [("later", 2, 3)]
    assert deliveries(actions) == []
    gated(script, 32, 2, 3, 0.6, 7.5, 1.5)
    assert deliveries(gated(script, 47, 3, 3, 0.7, 15)) == [("trunk", r.Source.LOCAL, r.Reason.LOCAL_DONE)]


def test_with_a_crossing_behind_the_gate_a_safety_request_takes_its_better_reserve_and_the_rest_is_advice() -> None:
    script = Script(EXITS_ONLY, BRAKE, policy="exit then split")
    script.arrive(10, "brake")
    (encode,) = gated(script, 22, 1, 2, 0.5, 3, 7.5, 1.5)
    assert isinstance(encode, r.Encode)
    assert [each.plan for each in script.told() if isinstance(each, r.ReserveChosen)] == ["trunk@2"]
    actions = script.encoded(24, encode.job)
    assert runs(actions) == [("trunk", 2, 3)]
    assert deliveries(script.ran(47, 3, 3, 7.5, 15)) == [("trunk", r.Source.LOCAL, r.Reason.LOCAL_DONE)]


def test_a_refused_answer_is_given_where_nothing_better_is_held_or_the_better_one_is_late() -> None:
    alone = Script(ArmTable(ARMS[3:4], (TRUNK, EARLY)), replace(BRAKE, deadline_ns=40 * MS), policy="exit then split")
    alone.arrive(10, "brake")
    assert deliveries(gated(alone, 22, 1, 2, 0.5, 3, 7.5, 1.5)) == [("early", r.Source.LOCAL, r.Reason.LOCAL_DONE)]
    script = Script(EXITS_ONLY, BRAKE, policy="exit then split")
    script.arrive(10, "brake")
    (encode,) = gated(script, 22, 1, 2, 0.5, 3, 7.5, 1.5)
    assert isinstance(encode, r.Encode)
    script.encoded(24, encode.job)
    assert deliveries(script.timer(107)) == [("early", r.Source.LOCAL, r.Reason.HOLD_ENDED)]


def test_when_the_network_fails_behind_a_gate_the_better_reserve_answers_and_not_what_was_refused() -> None:
    script = Script(EXITS_ONLY, CAMERA, policy="exit then split")
    script.arrive(10, "camera")
    (encode,) = gated(script, 22, 1, 2, 0.5, 3, 7.5, 1.5)
    assert isinstance(encode, r.Encode)
    script.encoded(24, encode.job)
    actions = script.do(26, r.RemoteFailed(0, 1, "refused", False))
    assert (runs(actions), deliveries(actions)) == ([("trunk", 2, 3)], [])
    actions = script.do(30, r.JobEnded("cpu", 3, "the engine broke"))
    assert (runs(actions), deliveries(actions)) == ([("later", 0, 3)], [])  # still better than what is held
    failed = script.do(32, r.JobEnded("cpu", 4, "the engine broke"))
    assert deliveries(failed) == [("early", r.Source.LOCAL, r.Reason.LOCAL_DONE)]


def test_an_unsure_exit_sends_the_trunks_tensors() -> None:
    script = Script(EXITS_ONLY, CAMERA, policy="exit then split")
    script.arrive(10, "camera")
    (encode,) = gated(script, 22, 1, 2, 0.5, 3, 7.5, 1.5)
    assert isinstance(encode, r.Encode)
    assert (encode.model, encode.joint) == ("trunk", 1)
    (send,) = script.encoded(24, encode.job)
    assert isinstance(send, r.Send)
    assert (send.model, send.joint, send.last) == ("trunk", 1, 3)
    assert deliveries(script.answered(60, 0)) == [("trunk", r.Source.REMOTE, r.Reason.REMOTE_IN_TIME)]


@pytest.mark.parametrize(("deadline_ms", "held", "at_joint"), [(100, "trunk", "trunk@2"), (80, "early", "later@2")])
def test_a_split_arms_reserve_becomes_the_best_that_is_no_longer(deadline_ms: int, held: str, at_joint: str) -> None:
    """The trunk's 44 ms are held where they leave the network half of the time; else the exit's 16 ms, until the joint."""
    script = Script(EXITS_ONLY, Stream("camera", deadline_ms * MS), policy="split")
    script.arrive(10, "camera")
    assert [each.plan for each in script.told() if isinstance(each, r.ReserveChosen)] == [held]
    script.ran(21, 1, 1, 3, 7.5)
    (chosen,) = [each for each in script.told() if isinstance(each, r.ReserveChosen)]
    assert (chosen.plan, chosen.reason) == (at_joint, r.Reason.CHEAPER_FROM_JOINT)


@pytest.mark.parametrize(("name", "follows"), [("mixed here", r.Run), ("mixed split", r.Encode)])
def test_precision_changes_at_a_joint_but_never_for_a_reserve(name: str, follows: type) -> None:
    script = Script(TABLE, CAMERA, policy=name)
    assert runs(script.arrive(10, "camera")) == [("quick", 0, 1)]
    (next_,) = script.ran(17, 1, 1, 3, 3.75)
    assert type(next_) is follows
    assert isinstance(next_, r.Run | r.Encode)
    assert next_.model == "trunk"
    plans = [each.plan for each in script.told() if isinstance(each, r.ReserveChosen)]
    assert all(plan.startswith("quick@2") for plan in plans)


def test_the_way_an_exit_shortens_what_is_held_is_seen_by_the_calendar() -> None:
    """Two requests at once that the trunk alone could not both answer in time."""
    tight = Stream("camera", 40 * MS)
    alone = Script(ArmTable(ARMS[:1], (TRUNK,)), tight, policy="local:trunk", open_link=False)
    alone.arrive(10, "camera")
    assert [each.reason for each in alone.told() if isinstance(each, r.Decision)] == [r.Reason.NOTHING_FITS]
    script = Script(EXITS_ONLY, tight, policy="exits")
    script.arrive(10, "camera")
    script.arrive(11, "camera")
    held = [each for each in script.told() if isinstance(each, r.ReserveChosen)]
    assert [(each.plan, each.reason) for each in held] == [("early", r.Reason.LATEST_START)]


def test_an_audit_asks_a_whole_model_and_not_its_exit() -> None:
    remote = Arm("cloud", (cross("jpeg"), run(TRUNK, tier="cloud")), 0.99)
    script = Script(ArmTable((*EXITS_ONLY.arms, remote), EXITS_ONLY.locals), CAMERA, policy="cloud", audit_share=1.0)
    (encode,) = script.arrive(10, "camera")
    assert isinstance(encode, r.Encode)
    script.encoded(12, encode.job)
    assert runs(script.answered(40, 0)) == [("trunk", 0, 3)]


def test_a_gate_asks_how_sure_its_own_model_was_whoever_came_to_an_end_last() -> None:
    """The reserve has run the second exit while the arm still waited for the first, which is less sure than its own gate asks and
    surer than the second one's."""
    arm = Arm("exits", (run(EARLY), GateStep(0.9, 0.5), run(LATER, 2), GateStep(0.4, 0.5), run(TRUNK, 3)), 0.97)
    for sure, stops in ((0.3, False), (0.45, True), (None, False)):
        flight = Flight(0, CAMERA, 0, 100 * MS, 99 * MS, arm=arm)
        flight.joints, flight.sure = {"early": 2, "later": 3, "trunk": 2}, {"later": sure, "early": 0.6}
        flight.advance()
        assert (flight.decided is r.Reason.CONFIDENT_AT_GATE) is stops
        assert flight.refused == ("early" if stops else "later")
        assert flight.primary is (Primary.ENDED if stops else Primary.WAITING)
