"""What the core promises, looked for in random worlds: every event is checked, and each world has a device-only twin.

The promises hold while streams keep to their declared least distance and lane times, cancellations and timers to their
bounds, as in these worlds:

- each request is delivered exactly once and then forgotten; no wake-up lies in the past; a replay says the same;
- a request that was given a reserve is answered by its deadline, whatever the network does, unless a newer sample of its
  own stream took its place, which is told;
- where the lane could carry all streams by their bounds (`sustainable`), every request that a device alone would have
  answered in time is answered in time. Where it could not, no one can promise anything about requests not yet there.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hedgerow.core import Criticality, Limits, Prices
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.device.journal import Header, line, replay
from tests.core.random_world import MARGINS, RandomWorld, Scene, in_time, play, scenes

# Shrinking takes minutes: leave it out here, a failing world is printed whole.
EVERYDAY = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
LONG = settings(EVERYDAY, max_examples=2500, derandomize=False)
AUDIT_ALL = Limits(audit_share=1.0, audit_spacing_ns=0)
POLICIES = ("ours", "device-only", "cloud-only")


def check_ends(world: RandomWorld) -> None:
    assert set(world.delivered) == set(world.arrived)
    assert world.forgotten == set(world.arrived)
    assert world.core.in_flight == 0


def check_replay(world: RandomWorld, policy: str) -> None:
    core = world.core
    header = Header(core.table, policy, core.limits, MARGINS, Prices(), BudgetSettings())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        lines = [line(number, *step) for number, step in enumerate(world.steps)]
        path.write_bytes(header.encode() + b"".join(lines))
        replayed = replay(path)
    assert replayed.difference is None
    assert replayed.steps == len(world.steps)


def check_reserves(scene: Scene, world: RandomWorld) -> None:
    """Who was given a reserve (a background request never is) is answered in time."""
    for record in world.records:
        if isinstance(record, r.Decision) and record.reserve and record.reason is not r.Reason.NOTHING_FITS:
            status = world.delivered[record.request][1].status
            assert status is r.Status.DROPPED or in_time(scene, world, record.request), record


def check_twin(scene: Scene, ours: RandomWorld) -> None:
    """What the device alone would have met is met."""
    alone = play(scene, "device-only")
    lost = [n for n in ours.arrived if in_time(scene, alone, n) and not in_time(scene, ours, n)]
    assert lost == []


@EVERYDAY
@given(scenes(criticalities=tuple(Criticality)), st.sampled_from(POLICIES))
def test_every_request_ends_once_and_a_replay_says_the_same(scene: Scene, policy: str) -> None:
    world = play(scene, policy)
    check_ends(world)
    check_replay(world, policy)


@EVERYDAY
@given(scenes())
def test_who_was_given_a_reserve_is_answered_in_time(scene: Scene) -> None:
    check_reserves(scene, play(scene))


@EVERYDAY
@given(scenes(sustainable_only=True))
def test_a_lane_that_can_carry_its_streams_meets_what_a_device_alone_would(scene: Scene) -> None:
    check_twin(scene, play(scene))


@EVERYDAY
@given(scenes(sustainable_only=True), st.booleans())
def test_audits_of_every_remote_answer_delay_no_promise(scene: Scene, honest: bool) -> None:
    world = play(scene, agrees=honest, limits=AUDIT_ALL)
    check_ends(world)
    check_replay(world, "ours")
    check_reserves(scene, world)
    check_twin(scene, world)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@LONG
@given(scenes(criticalities=tuple(Criticality)), st.sampled_from(POLICIES), st.booleans(), st.booleans())
def test_many_more_worlds(scene: Scene, policy: str, audited: bool, honest: bool) -> None:
    world = play(scene, policy, agrees=honest, limits=AUDIT_ALL if audited else None)
    check_ends(world)
    check_replay(world, policy)
    if policy != "cloud-only":
        check_reserves(scene, world)
    if scene.sustainable and all(stream.criticality is not Criticality.BACKGROUND for stream in scene.streams):
        check_twin(scene, play(scene))
