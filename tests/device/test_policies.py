"""Policies at the front door: by name, of one arm, and a caller's own, which may fail and costs no answer."""

from pathlib import Path

import pytest

from hedgerow.assurance.evaluation import evaluate
from hedgerow.core.policies import Choice, View, by_name
from hedgerow.core.policies.exploring import Exploring
from hedgerow.core.policies.guarding import Guarded
from hedgerow.core.records import Source, Status
from hedgerow.device.journal import replay
from hedgerow.device.session import Session
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import tagged
from tests.wire.serving import ServerProcess


class Broken:
    """Fails at every request but the first."""

    name, uses_reserve = "broken", True

    def choose(self, view: View) -> Choice | None:
        if view.request:
            raise ZeroDivisionError("of course")
        return None


def test_a_callers_policy_that_fails_is_told_once_answers_and_replays(
    task: Task, profile: Profile, tmp_path: Path
) -> None:
    said: list[str] = []
    path = tmp_path / "journal"
    with Session(task, profile=profile, deadline_ms=500, policy=Broken(), journal=path, say=said.append) as session:
        answers = [session.answer(tagged(number)) for number in range(4)]
    assert [(each.status, each.source) for each in answers] == [(Status.ANSWERED, Source.LOCAL)] * 4
    assert [each for each in said if "broken" in each] == [
        "policy 'broken' raised ZeroDivisionError: of course; least expected cost decides where it fails"
    ]
    assert b"policy_failed" in path.read_bytes()
    assert replay(path, Guarded(Broken())).difference is None
    with pytest.raises(UsageError, match="no policy 'broken'"):
        replay(path)


@pytest.mark.parametrize("name", ["only:local:tiny", "hedgerow", "neurosurgeon", "exploring"])
def test_a_named_policy_replays_by_its_name(task: Task, profile: Profile, tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal"
    with Session(task, profile=profile, deadline_ms=500, policy=name, journal=path) as session:
        assert session.answer(tagged(1)).status is Status.ANSWERED
    assert replay(path).difference is None


def test_a_live_journal_that_explored_can_be_asked_about_another_policy(
    task: Task, profile: Profile, server: ServerProcess, tmp_path: Path
) -> None:
    path, policy = tmp_path / "journal", Exploring("mine", epsilon=0.5, budget_mj=1e6)
    with Session(task, server.address, profile=profile, deadline_ms=500, policy=policy, journal=path) as session:
        answers = [session.answer(tagged(number)) for number in range(300)]
    found = evaluate(path, by_name("ours"), logged_by=Guarded(policy))
    assert (found.requests, found.unended) == (300, 0)
    mean_mj = sum(each.energy_mj for each in answers) / 300
    assert found.figures["energy_mj"].logged.mean == pytest.approx(mean_mj, rel=0.1)
    assert 0.3 < found.support.matched < 1
    assert found.figures["cost_mj"].dr.mean > 0


@pytest.mark.parametrize(
    ("policy", "said"), [("hope", "no policy 'hope'"), ("only:hope", "no arm 'hope'; there are: local:")]
)
def test_an_unknown_policy_or_arm_is_refused(task: Task, profile: Profile, policy: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Session(task, profile=profile, policy=policy)


def test_what_is_no_policy_is_refused(task: Task, profile: Profile) -> None:
    with pytest.raises(UsageError, match="is no policy"):
        Session(task, profile=profile, policy=3)  # type: ignore[arg-type]
