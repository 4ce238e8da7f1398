"""Arms with gates against a plain run of them: every sample through the real chains, gate by gate."""

from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow import codecs
from hedgerow.core import Arm, CrossStep, GateStep, RunStep
from hedgerow.core.policies import by_name
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.planning import arm_table, bits, crossing_part, every_arm, gates_of
from hedgerow.planning.composing import shrunk
from hedgerow.planning.plan import plan
from hedgerow.planning.prune import kind, pruned
from hedgerow.profiling import Profile, make_profile
from hedgerow.profiling.measure import QUICK
from tests.models.branches import frames, rich_task

COUNT = 20


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return Task.load(rich_task(tmp_path_factory.mktemp("rich")))


@pytest.fixture(scope="module")
def profile(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    path = tmp_path_factory.mktemp("profile") / "profile.json"
    plain = replace(
        QUICK, feature_codecs=("q8", "q4")
    )  # without calibrations, which are judged on folds that nobody keeps
    make_profile(task, frames(COUNT), seconds=1.5, quick=True, effort=plain).save(path)
    return Profile.load(path)


def test_the_profile_says_whose_kin_each_model_is(profile: Profile, task: Task) -> None:
    profile.check(task)
    kin = {model.name: (model.trunk, model.shared, model.precision_of, model.gate) for model in profile.models}
    assert kin == {
        "big": ("", -1, "", None),
        "trunk": ("", -1, "", 0.4),
        "copy": ("", -1, "trunk", None),
        "early": ("trunk", 1, "", 0.4),
        "later": ("trunk", 2, "", 0.4),
    }
    table = every_arm(profile, task)
    assert [(each.trunk, each.shared, each.precision_of) for each in table.locals] == [
        (trunk, shared, copied) for trunk, shared, copied, _ in kin.values()
    ]


def test_every_gated_arm_there_can_be_is_there(profile: Profile, task: Task) -> None:
    names = {arm.name for arm in every_arm(profile, task).arms}
    gated = {name for name in names if name.startswith(("exit:", "cascade:"))}
    assert {name for name in gated if name.startswith("exit:")} == {"exit:trunk@early", "exit:trunk@early,later"}
    fronts = ("early", "early,later", "trunk", "early,trunk", "early,later,trunk")
    raw = {name for name in names if name.startswith("cloud:")}
    assert all(name.split(":")[1] in ("big", "trunk") for name in raw)  # nothing is sent only to be answered by an exit
    expected = {f"cascade:{front}>{end}" for front in fronts for end in raw if not front.endswith(end.split(":")[1])}
    split = {name for name in names if name.startswith("split:")}
    expected |= {f"cascade:early>{end}" for end in split if end.startswith("split:trunk@1:")}
    expected |= {f"cascade:early,later>{end}" for end in split if end.startswith("split:trunk@2:")}
    assert {name for name in gated if name.startswith("cascade:")} == expected
    assert any(name.startswith("split:copy>trunk@1:") for name in split)
    assert not any(name.startswith(("split:early", "split:later", "split:copy@")) for name in split)


def test_each_agrees_where_a_plain_run_of_it_does(profile: Profile, task: Task) -> None:
    given = frames(COUNT)
    samples = [task.sample(given[name]) for name in profile.samples]
    runs = Plain(task)
    for arm in every_arm(profile, task).arms:
        plainly = "".join("1" if runs.agrees(arm, sample) else "0" for sample in samples)
        assert bits(profile, arm.name, gates_of(profile)) == plainly, arm.name
        if any(isinstance(step, GateStep) for step in arm.steps):
            assert arm.quality == pytest.approx(shrunk(plainly.count("1"), len(samples)), abs=1e-6)
            assert [step.stop_share for step in arm.steps if isinstance(step, GateStep)] == pytest.approx(
                runs.stops(arm, samples), abs=1e-6
            )
    assert any(0 < count < len(samples) for count in runs.stopped.values()), "gates that stop all or none prove nothing"


class Plain:
    """Arms by hand: each step through the chains, whatever is kept by joint; gates ask the task."""

    def __init__(self, task: Task) -> None:
        self.task, self.chains = task, task.open_all()
        self.stopped: dict[str, int] = {}

    def agrees(self, arm: Arm, sample: Tensors) -> bool:
        return self.task.agrees(self._answer(arm, sample), self.chains["big"].run(sample).tensors)

    def _answer(self, arm: Arm, sample: Tensors) -> Tensors:
        kept, answer = {-1: sample}, sample
        for place, step in enumerate(arm.steps):
            match step:
                case RunStep():
                    for joint in range(step.first, step.last + 1):
                        kept[joint] = self.chains[step.model].run(kept[joint - 1], joint, joint).tensors
                    answer = kept[step.last]
                case GateStep():
                    if self._sure(answer) >= step.at_least:
                        self.stopped[arm.name] = self.stopped.get(arm.name, 0) + 1
                        break
                case CrossStep():
                    joint, codec = arm.sends(place)[1], codecs.get(step.codec)
                    kept[joint] = codec.decode(codec.encode(kept[joint]), limits=codecs.CodecLimits())
        return answer

    def _sure(self, answer: Tensors) -> float:
        return round(self.task.interpret(answer).confidence or 0.0, 4)

    def stops(self, arm: Arm, samples: list[Tensors]) -> list[float]:
        """The share that each gate stops of those that reach it, shrunk."""
        left, shares = samples, []
        for place, step in enumerate(arm.steps):
            if isinstance(step, GateStep):
                chain = self.chains[arm.before(place)]
                stay = [each for each in left if self._sure(chain.run(each).tensors) < step.at_least]
                shares.append(shrunk(len(left) - len(stay), len(left)))
                left = stay
        return shares


def test_the_crossing_part_is_what_was_measured(profile: Profile, task: Task) -> None:
    for arm in every_arm(profile, task).arms:
        part = crossing_part(arm.name)
        assert (part == "") == (arm.crossing is None)
        assert not part or part in profile.agreement
    assert crossing_part("cascade:early>split:copy>trunk@1:q4") == "split:copy>trunk@1:q4"


def test_a_tasks_present_gate_counts_and_not_the_measured_one(profile: Profile, task: Task, tmp_path: Path) -> None:
    again = Task.load(rich_task(tmp_path, gate=0.99))
    assert again.task_id == task.task_id
    gates = {
        step.at_least for arm in every_arm(profile, again).arms for step in arm.steps if isinstance(step, GateStep)
    }
    assert gates == {0.99}


def test_a_full_table_keeps_some_of_each_kind(profile: Profile, task: Task) -> None:
    every = every_arm(profile, task)
    kinds = {kind(arm) for arm in every.arms}
    assert kinds == {"local", "exits", "cloud", "split", "mixed split", "gated cloud", "gated split"}
    undominated = {kind(arm) for arm in pruned(every, arms_max=4096).arms}
    few = pruned(every, arms_max=16)
    assert len(few.arms) <= 16
    assert {kind(arm) for arm in few.arms} == undominated
    assert len(arm_table(profile, task).arms) <= 64


def test_a_plan_may_choose_a_gated_arm(profile: Profile, task: Task) -> None:
    table = every_arm(profile, task)
    found = plan(table, 20.0, 20.0, 100.0)
    assert found.chosen is not None
    assert {each.name for each in found.arms} == {arm.name for arm in table.arms}
    for name in ("hedgerow", "spinn", "neurosurgeon", "dads", "device-only"):
        policy = by_name(name, table)
        assert plan(table, 20.0, 20.0, 100.0, policy=policy.name).chosen is not None


def test_what_stands_in_the_way_of_a_gated_arm_is_said_of_it(profile: Profile, task: Task) -> None:
    table = every_arm(profile, task)
    slow = {each.name: each.obstacle for each in plan(table, 0.1, 400.0, 300.0).arms}
    asks = [name for name in slow if name.startswith("cascade:")]
    assert {slow[name] for name in asks} == {
        "what it asks for comes after the deadline of 300 ms: its own answer stands"
    }
    quick = {each.name: each.obstacle for each in plan(table, 1000.0, 1.0, 3000.0).arms}
    assert {quick[name] for name in asks} == {""}
