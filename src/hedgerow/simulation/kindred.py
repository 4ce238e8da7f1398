"""Branches, copies in another precision and arms with gates for a drawn world: exits, bottlenecks, cascades and what mixes them.

Rules: they are added behind the models and arms that are there, by draws of their own, so a world without them is as it was; a
branch's shared segments take for each request exactly what its trunk's take.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hedgerow.core import Arm, ArmTable, CrossStep, GateStep, LocalModel, RunStep
from hedgerow.core import records as r

SHARE = 0.35  # of drawn worlds that have any
_BYTES = (2_000, 40_000)
Step = RunStep | CrossStep | GateStep
Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def with_kin(random: np.random.Generator, table: ArmTable) -> ArmTable:
    """The table, in some worlds with kin of one model and arms over them."""
    trunks = [model for model in table.locals if model.last >= 1]
    if not trunks or random.random() >= SHARE:
        return table
    trunk = trunks[int(random.integers(len(trunks)))]
    kin = _branches(random, trunk)
    if random.random() < 0.4:
        kin.append(_copy(random, trunk))
    links = sorted({arm.crossing.link for arm in table.arms if arm.crossing is not None})
    arms = _arms(random, trunk, kin, table.locals, links)
    if not arms:
        return table
    return ArmTable(
        (*table.arms, *arms), (*table.locals, *kin), table.energy, table.money_per_mb, table.money_per_cloud_s
    )


def shared_times(table: ArmTable, times_ns: dict[str, Ints]) -> None:
    """Let shared segments take what the trunk's take, in place; arrays are (requests, segments)."""
    for model in table.locals:
        if model.trunk:
            times_ns[model.name][:, : model.shared + 1] = times_ns[model.trunk][:, : model.shared + 1]


def _branches(random: np.random.Generator, trunk: LocalModel) -> list[LocalModel]:
    """One at most of its joints: exits of a single short segment, now and then a longer branch."""
    found = []
    for joint in range(trunk.last):
        if random.random() < 0.6:
            count = 1 if random.random() < 0.7 else 2
            own = [int(each * r.MS) for each in random.uniform(0.1, 4, count)]
            found.append(_branch(trunk, joint, own, float(random.uniform(1.1, 1.6)), float(random.uniform(0.3, 0.95))))
    return found


def _branch(trunk: LocalModel, joint: int, own: Sequence[int], beyond: float, quality: float) -> LocalModel:
    medians = (*trunk.segment_median_ns[: joint + 1], *own)
    bounds = (*trunk.segment_bound_ns[: joint + 1], *(int(each * beyond) + 1 for each in own))
    rest = trunk.tail_bound_ns
    tails, tail_bounds = [sum(medians[place:]) for place in range(len(medians))], []
    for place in range(len(medians)):  # what the trunk promises from here to the joint, and then the branch's own
        shared = rest[place] - rest[joint + 1] if place <= joint else 0
        ends = sum(bounds[max(place, joint + 1) :])
        tail_bounds.append(max(shared, sum(medians[place : joint + 1])) + ends)
    for place in reversed(range(len(medians) - 1)):
        tail_bounds[place] = max(tail_bounds[place], tail_bounds[place + 1], bounds[place])
    name = f"{trunk.name}e{joint}"
    return LocalModel(
        name, trunk.lane, quality * trunk.quality, medians, bounds, tuple(tails), tuple(tail_bounds), trunk=trunk.name,
        shared=joint,
    )  # fmt: skip


def _copy(random: np.random.Generator, trunk: LocalModel) -> LocalModel:
    share = float(random.uniform(0.3, 0.8))

    def less(times: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(each * share) + 1 for each in times)

    return LocalModel(
        f"{trunk.name}q", trunk.lane, trunk.quality * float(random.uniform(0.8, 1.0)), less(trunk.segment_median_ns),
        less(trunk.segment_bound_ns), less(trunk.tail_median_ns), less(trunk.tail_bound_ns), precision_of=trunk.name,
    )  # fmt: skip


def _arms(
    random: np.random.Generator, trunk: LocalModel, kin: Sequence[LocalModel], models: Sequence[LocalModel],
    links: Sequence[str],
) -> list[Arm]:  # fmt: skip
    exits = [each for each in kin if each.trunk]
    found = [_whole(each) for each in kin if random.random() < 0.5]
    found += _chains(random, trunk, exits)
    for link in links:
        if exits and random.random() < 0.8:
            found.append(_exit_then_split(random, trunk, exits, link))
        if exits and random.random() < 0.5:
            found.append(_split(random, exits[-1], exits[-1].shared, exits[-1], link))
        others = [each for each in models if each is not trunk]
        if exits and others:
            found.append(_exit_then_ask(random, exits[0], others[int(random.integers(len(others)))], link))
        found += [
            _split(random, copy, int(random.integers(trunk.last)), trunk, link)
            for copy in kin
            if copy.precision_of and random.random() < 0.8
        ]
    return found


def _run(model: LocalModel, first: int = 0, last: int | None = None) -> RunStep:
    end = model.last if last is None else last
    return RunStep("device", model.name, first, end, sum(model.segment_median_ns[first : end + 1]), model.lane)


def _gate(random: np.random.Generator) -> GateStep:
    return GateStep(float(random.uniform(0.1, 0.9)), float(random.uniform(0.1, 0.8)))


def _whole(model: LocalModel) -> Arm:
    return Arm(f"local:{model.name}", (_run(model),), model.quality)


def _gated(random: np.random.Generator, exits: Sequence[LocalModel]) -> list[Step]:
    """Each exit and its gate, one after the other, from where the last one left the trunk."""
    steps: list[Step] = [_run(exits[0]), _gate(random)]
    for before, each in pairwise(exits):
        steps += [_run(each, before.shared + 1), _gate(random)]
    return steps


def _chains(random: np.random.Generator, trunk: LocalModel, exits: Sequence[LocalModel]) -> list[Arm]:
    found = []
    for count in (1, len(exits)) if len(exits) > 1 else (1,) if exits else ():
        steps = (*_gated(random, exits[:count]), _run(trunk, exits[count - 1].shared + 1))
        found.append(Arm(f"exit:{count}>local:{trunk.name}", steps, trunk.quality * float(random.uniform(0.9, 1.0))))
    return found


def _cross(
    random: np.random.Generator, model: LocalModel, joint: int, link: str, lane: str, codec: str
) -> tuple[Step, Step]:
    """From this joint on `model` runs over there; the codec's name tells links and arms apart, as lane times are by model, joint and
    codec."""
    encode = int(random.uniform(0.2, 4) * r.MS)
    codec = f"{link}:{codec}"
    there = RunStep("cloud", model.name, joint + 1, model.last, int(model.tail_median_ns[joint + 1] / 8) + 1)
    return CrossStep(link, codec, int(random.integers(*_BYTES)), encode, int(encode * 1.3), r.MS, lane=lane), there


def _exit_then_split(
    random: np.random.Generator, trunk: LocalModel, exits: Sequence[LocalModel], link: str
) -> Arm:  # fmt: skip
    last = exits[-1]
    joint = int(random.integers(last.shared, trunk.last))
    head = (_run(trunk, last.shared + 1, joint),) if joint > last.shared else ()
    steps = (*_gated(random, exits), *head, *_cross(random, trunk, joint, link, trunk.lane, "kx"))
    return Arm(f"{link}:exit>split:{trunk.name}@{joint}", steps, float(random.uniform(0.7, 1.0)))


def _exit_then_ask(random: np.random.Generator, early: LocalModel, big: LocalModel, link: str) -> Arm:
    steps = (_run(early), _gate(random), *_cross(random, big, -1, link, early.lane, "kr"))
    return Arm(f"{link}:exit:{early.name}>{big.name}", steps, float(random.uniform(0.7, 1.0)))


def _split(random: np.random.Generator, here: LocalModel, joint: int, there: LocalModel, link: str) -> Arm:
    """A head of `here`, the rest of `there` beyond the link: a bottleneck's own, or another precision's."""
    steps = (_run(here, 0, joint), *_cross(random, there, joint, link, here.lane, f"k{here.name}"))
    return Arm(f"{link}:split:{here.name}>{there.name}@{joint}", steps, float(random.uniform(0.6, 1.0)))
