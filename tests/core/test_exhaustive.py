"""Every order and timing of events for two requests, one lane and one link, up to a depth; and planted faults are found."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from hedgerow.core import Arm, ArmTable, Core, Criticality, CrossStep, GateStep, Limits, LocalModel, Margins, RunStep
from hedgerow.core import records as r
from hedgerow.core.desk import Desk
from hedgerow.core.link import Link
from hedgerow.core.records import Stream
from tests.core.walker import MS, Scenario, Violation, Walk, World, begin, dumped, loaded, replay

NODES_MAX = int(os.environ.get("HEDGEROW_WALK_NODES", "1000000"))


def model(name: str, bounds_ms: tuple[int, ...], quality: float) -> LocalModel:
    """Medians are three quarters of the bounds."""
    bounds = tuple(each * MS for each in bounds_ms)
    medians = tuple(each * 3 // 4 for each in bounds)
    tails = tuple(sum(medians[place:]) for place in range(len(medians)))
    return LocalModel(name, "cpu", quality, medians, bounds, tails, tuple(sum(bounds[p:]) for p in range(len(bounds))))


SMALL, BIG, WIDE = model("small", (8, 12), 0.8), model("big", (4, 20, 16), 1.0), model("wide", (24, 6), 0.9)
JPEG = Arm("jpeg", (CrossStep("cloud", "jpeg", 9000, 2 * MS, 4 * MS), RunStep("cloud", "big", 0, 2, 5 * MS)), 0.97)
SPLIT = Arm(
    "split",
    (
        RunStep("device", "small", 0, 0, 6 * MS),
        CrossStep("cloud", "q4", 4000, MS, 2 * MS),
        RunStep("cloud", "small", 1, 1, 2 * MS),
    ),
    0.9,
)
ASK = Arm("ask", (RunStep("device", "small", 0, 1, 15 * MS), GateStep(0.9, 0.5), *JPEG.steps), 0.95)
LOCAL = Arm("local:small", (RunStep("device", "small", 0, 1, 15 * MS),), 0.8)
LOCAL_BIG = Arm("local:big", (RunStep("device", "big", 0, 2, 30 * MS),), 1.0)
ONE = ArmTable((LOCAL, JPEG, SPLIT, ASK), (SMALL,))
HEAD = Arm(
    "head",
    (
        RunStep("device", "wide", 0, 0, 18 * MS),
        CrossStep("cloud", "q4", 4000, MS, 2 * MS),
        RunStep("cloud", "wide", 1, 1, 2 * MS),
    ),
    0.95,
)
TWO = ArmTable((LOCAL, LOCAL_BIG, JPEG, SPLIT), (SMALL, BIG))

CAMERA = Stream("camera", 70 * MS, period_ns=30 * MS)
BRAKE = Stream("brake", 60 * MS, Criticality.SAFETY, period_ns=40 * MS)
ARM = Stream("arm", 80 * MS)
CLOSE, FAST = Stream("close", 44 * MS), Stream("fast", 30 * MS)
TIGHT = Stream("tight", 30 * MS, has_safe_value=True)
LOG = Stream("log", 70 * MS, Criticality.BACKGROUND, expiry_ns=300 * MS)
FEW = Limits(requests_in_flight_max=1, late_answers_kept_max=1, loss_after_ns=20 * MS)

SCENARIOS = {
    each.name: each
    for each in (
        Scenario("mission", ONE, (CAMERA,), "jpeg", 30 * MS),
        Scenario("safety", ONE, (BRAKE,), "jpeg", 40 * MS),
        Scenario("split", ONE, (CAMERA,), "split", 30 * MS),
        Scenario("gate", ONE, (CAMERA,), "ask", 30 * MS),
        Scenario("streams", ONE, (BRAKE, ARM), "jpeg"),
        Scenario("split-streams", ONE, (ARM, BRAKE), "split"),
        Scenario("safe-value", ONE, (TIGHT, replace(CAMERA, has_safe_value=True)), "jpeg"),
        Scenario("models", TWO, (ARM, CAMERA), "jpeg"),
        Scenario("big", TWO, (ARM, BRAKE), "local:big"),
        Scenario("head", ArmTable((LOCAL, HEAD), (SMALL, WIDE)), (CLOSE, CAMERA), "head"),
        Scenario("rivals", ONE, (FAST, replace(FAST, name="faster", deadline_ns=28 * MS)), "jpeg"),
        Scenario("ours", TWO, (CAMERA, ARM), "ours"),
        Scenario("cold", ONE, (CAMERA,), "jpeg", 30 * MS, warm=False),
        Scenario("background", ONE, (LOG, CAMERA), "jpeg"),
        Scenario("cloud-only", ONE, (CAMERA,), "cloud-only", 30 * MS, limits=Limits(unanswered_wait_ns=50 * MS)),
        Scenario("limits", ONE, (CAMERA, ARM), "jpeg", limits=FEW),
    )
}


WIDER = ("streams", "safe-value", "models", "rivals", "ours", "limits")  # the second request may come at any time


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_events_keeps_the_promises(name: str) -> None:
    """Some 10^4 steps in all."""
    walk = Walk(SCENARIOS[name], depth=2 if name in WIDER else 3, deviations=0, nodes_max=NODES_MAX).run()
    assert walk.ends >= 10
    assert walk.whole or walk.nodes >= NODES_MAX


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_events_to_a_greater_depth(name: str) -> None:
    """Some 10^6 states in all; `nodes_max` bounds a scenario."""
    Walk(SCENARIOS[name], depth=4, deviations=1, nodes_max=60_000).run()


def test_a_copied_world_goes_on_as_the_first_and_leaves_it_alone() -> None:
    world = begin(SCENARIOS["streams"], [])
    before = dumped(world)
    path: list[tuple[int, r.Event]] = []
    copied = loaded(before)
    while len(copied.forgotten) < 2:
        moment, event = copied.choices()[-1 if len(copied.requests) == 1 and len(path) == 1 else 0]
        path.append((moment, event))
        outcome = copied.apply(moment, event)
        other = loaded(before)
        for earlier in path[:-1]:
            other.apply(*earlier)
        assert other.apply(moment, event) == outcome
    assert dumped(world) == before
    assert len(path) > 4


# ------------------------------------------------------------------------------------------------------------ planted

Plant = Callable[[pytest.MonkeyPatch], None]


def no_blocking(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Desk, "_may_block", lambda *arguments: True)


def everything_fits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Desk, "_fits", lambda *arguments: True)


def no_giving_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Desk, "_give_way", lambda *arguments: None)


def no_timer_margin(patch: pytest.MonkeyPatch) -> None:
    made = Desk.__init__

    def careless(self: Desk, *arguments: object) -> None:
        made(self, *arguments)  # type: ignore[arg-type]
        self._margins = Margins(timer_ns=0, cancel_ns=0, deliver_ns=MS)

    patch.setattr(Desk, "__init__", careless)


def delivers_twice(patch: pytest.MonkeyPatch) -> None:
    deliver = Core._deliver

    def twice(self: Core, flight: object, *rest: object) -> None:
        for _ in range(2):
            flight.closed = False  # type: ignore[attr-defined]
            deliver(self, flight, *rest)  # type: ignore[arg-type]

    patch.setattr(Core, "_deliver", twice)


def never_forgets(patch: pytest.MonkeyPatch) -> None:
    def keep(self: Core, flight: object) -> None:
        if flight.closed and flight.job is None:  # type: ignore[attr-defined]
            self._flights.pop(flight.request, None)  # type: ignore[attr-defined]

    patch.setattr(Core, "_forget_if_done", keep)


def forgets_too_soon(patch: pytest.MonkeyPatch) -> None:
    def drop(self: Core, flight: object) -> None:
        if flight.closed and self._flights.pop(flight.request, None):  # type: ignore[attr-defined]
            self._actions.append(r.Forget(flight.request))  # type: ignore[attr-defined]

    patch.setattr(Core, "_forget_if_done", drop)


def never_loses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Link, "lose_silent", lambda self, now_ns: [])


def sleeps_on(patch: pytest.MonkeyPatch) -> None:
    wake = Core._next_wake_ns

    def later(self: Core) -> int | None:
        found = wake(self)
        return None if found is None else found + 3 * MS

    patch.setattr(Core, "_next_wake_ns", later)


def time_runs_back(patch: pytest.MonkeyPatch) -> None:
    step = Core.step

    def any_time(self: Core, event: r.Event, *, now_ns: int) -> r.Outcome:
        return step(self, event, now_ns=max(now_ns, self._now_ns))

    patch.setattr(Core, "step", any_time)


def no_limit(patch: pytest.MonkeyPatch) -> None:
    made = Core.__init__

    def boundless(self: Core, *arguments: object, **settings: object) -> None:
        made(self, *arguments, **settings | {"limits": replace(FEW, requests_in_flight_max=9)})  # type: ignore[arg-type]

    patch.setattr(Core, "__init__", boundless)


def stays_with_the_dead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Core, "_primary_ended", lambda self, flight: None)


PLANTED: dict[Plant, tuple[str, str]] = {
    no_blocking: ("head", "do not fit any more"),
    everything_fits: ("rivals", "do not fit any more"),
    no_giving_way: ("big", "do not fit any more"),
    no_timer_margin: ("mission", "do not fit any more"),
    delivers_twice: ("mission", "delivered twice|that is forgotten"),
    never_forgets: ("mission", "never forgotten|lost a request"),
    forgets_too_soon: ("mission", "still works for it"),
    never_loses: ("safety", "lies in the past"),
    sleeps_on: ("mission", "do not fit any more"),
    time_runs_back: ("mission", "from the past was accepted"),
    no_limit: ("limits", "more in flight than the limit"),
    stays_with_the_dead: ("safety", "stuck"),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_is_found_and_its_path_repeats_it(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    name, words = PLANTED[plant]
    plant(monkeypatch)
    with pytest.raises(Violation, match=words) as caught:
        Walk(SCENARIOS[name], depth=3, deviations=0, nodes_max=2000).run()
    text = str(caught.value)
    path = text[text.index("replay(") :]
    if plant is not time_runs_back:  # what only the walk tries
        with pytest.raises(Violation) as repeated:
            eval(path, {"replay": replay, "SCENARIOS": SCENARIOS, "r": r})
        assert (
            str(repeated.value) in text or "stuck" in text
        )  # a walk sees that nothing is left, a replay what is missing
    monkeypatch.undo()
    replayed = eval(path, {"replay": replay_as_far_as_it_goes, "SCENARIOS": SCENARIOS, "r": r})
    assert isinstance(replayed, World)


def replay_as_far_as_it_goes(scenario: Scenario, path: list[tuple[int, r.Event]]) -> World:
    """The mended core may ask for other things than the broken one; the first event at least is the same."""
    return replay(scenario, path[:3])
