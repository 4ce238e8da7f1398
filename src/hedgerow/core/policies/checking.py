"""`check_policy`: what every policy must pass, ours and yours. In a test of your own: `check_policy(MyPolicy())`.

A policy is picklable and deterministic (a copy that is shown the same decides the same), takes admissible arms only, writes to
nothing it is shown, gives figures that are numbers and probabilities that are ones, keeps its state small, and draws by the
view's seed alone: over seeds it takes each arm as often as it says. In a small world with a real core, whose link is quick,
slow, dead and back, each request is answered once, and in time if the policy lets a reserve be held; what was learned
survives a pickle on the way. The first failure is a UsageError that says what, and in which view; what the policy raises
itself comes through.
"""

import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from math import sqrt
from typing import Any

import numpy as np

from hedgerow.core.arms import ArmTable, Floats
from hedgerow.core.core import Core
from hedgerow.core.policies import Choice, Feedback, Learns, Policy, View
from hedgerow.core.policies.checking_views import made_views
from hedgerow.core.policies.checking_world import DEADLINE_NS, MARGINS, STREAM, CheckingWorld
from hedgerow.core.policies.examples import cascade, chain, steady
from hedgerow.core.policies.guarding import Guarded, fault
from hedgerow.core.records import Deliver, Outcome, Source
from hedgerow.errors import UsageError

STATE_BYTES_MAX = 1 << 20
_SEEDS_MAX, _SEEDS_FIXED = 2000, 50
_SIGMAS = 5.0  # a policy that draws as it says differs by more in one check of a million
_REPICKLED_EVERY = 25  # choices


def check_policy(policy: Policy, *, tables: Sequence[ArmTable] = (), views: int = 40, requests: int = 100) -> None:
    """Raise UsageError unless `policy` passes, over the examples' tables and `tables`; `policy` itself is left as it is."""
    Guarded(policy)
    packed = _packed(policy)
    examples = (chain((6, 12, 12, 12), (1, 1, 1, 1), (40, 12, 6, 3)), cascade())
    for table in (*examples, *tables):
        seen = list(made_views(table, views))
        _check_views(policy.name, packed, seen)
        _check_propensities(policy.name, packed, [steady(table, deadline_ms=1000), seen[1], seen[-1]])
    for table in examples:
        first = _play(table, _unpacked(packed), requests)
        again = _play(table, _Repickled(_unpacked(packed)), requests)
        if first != again:
            raise UsageError(f"policy '{policy.name}' forgets when it is pickled, or draws from elsewhere")


def _packed(policy: Policy) -> bytes:
    try:
        return pickle.dumps(policy)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(f"policy '{policy.name}' cannot be pickled: {error}") from None


def _unpacked(packed: bytes) -> Policy:
    policy: Policy = pickle.loads(packed)
    return policy


def _check_views(name: str, packed: bytes, views: list[View]) -> None:
    """Two copies see the same views and how the same choices ended."""
    one, other = _unpacked(packed), _unpacked(packed)
    for number, view in enumerate(views):
        where = f"in view {number} of a table of {len(view.table.arms)} arms"
        before = _arrays(view)
        choice = one.choose(view)
        if any(not np.array_equal(before[key], now) for key, now in _arrays(view).items()):
            raise UsageError(f"policy '{name}' wrote to what it was shown {where}")
        wrong = fault(choice, view.admissible)
        if wrong:
            raise UsageError(f"policy '{name}' {wrong} {where}")
        if other.choose(view) != choice:
            raise UsageError(f"policy '{name}' is not deterministic: two copies differ {where}")
        if choice is not None and view.table.is_remote[choice.arm]:
            latency = None if number % 7 == 0 else round(float(view.latency_ns(choice.arm)[0]))
            for each in (one, other):
                if isinstance(each, Learns):
                    each.learn(Feedback(view.request, choice.arm, latency))


def _arrays(view: View) -> dict[str, Floats]:
    every: dict[str, Any] = {each.name: getattr(view, each.name) for each in fields(view)}
    return {name: each.copy() for name, each in every.items() if isinstance(each, np.ndarray)}


def _check_propensities(name: str, packed: bytes, views: list[View]) -> None:
    """Over seeds, and over nothing else, each arm is taken as often as was said."""
    for number, view in enumerate(views):
        counts: Counter[int] = Counter()
        said: dict[int, float] = {}
        for seed in range(1, _SEEDS_MAX + 1):
            choice = _unpacked(packed).choose(replace(view, seed=seed))
            if choice is None:
                continue
            counts[choice.arm] += 1
            if said.setdefault(choice.arm, choice.propensity) != choice.propensity:
                raise UsageError(f"policy '{name}' says another propensity of one arm for another seed")
            if seed >= _SEEDS_FIXED and len(counts) == 1 and choice.propensity == 1:
                break  # it does not randomise here
        tried = seed
        for arm, share in said.items():
            allowed = _SIGMAS * sqrt(share * (1 - share) / tried) + 1e-9
            if abs(counts[arm] / tried - share) > allowed:
                often = f"took it {counts[arm]} times over {tried} seeds"
                raise UsageError(
                    f"policy '{name}' says a propensity of {share:g} for arm {arm} and {often} (view {number})"
                )


class _Repickled:
    """A policy that is pickled and read again now and then."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.name, self.uses_reserve, self._choices = policy, policy.name, policy.uses_reserve, 0

    def choose(self, view: View) -> Choice | None:
        self._choices += 1
        if self._choices % _REPICKLED_EVERY == 0:
            self.policy = _unpacked(_packed(self.policy))
        return self.policy.choose(view)

    def learn(self, feedback: Feedback) -> None:
        if isinstance(self.policy, Learns):
            self.policy.learn(feedback)


def _play(table: ArmTable, policy: Policy, requests: int) -> list[Outcome]:
    """All requests in the small world; UsageError if one is not answered, or late although a reserve was held."""
    world = CheckingWorld(Core(table, policy=policy, streams=(STREAM,), margins=MARGINS), requests)
    world.run()
    if policy.uses_reserve:
        for request in range(requests):
            moment, deliver = world.answers.get(request, (0, None))
            captured = world.captured_ns(request)
            if not isinstance(deliver, Deliver) or deliver.source is Source.NONE or moment > captured + DEADLINE_NS:
                raise UsageError(f"under policy '{policy.name}' request {request} had no answer in time")
    elif len(world.answers) < requests:
        raise UsageError(f"under policy '{policy.name}' {requests - len(world.answers)} requests were never ended")
    size = len(_packed(policy))
    if size > STATE_BYTES_MAX:
        raise UsageError(f"policy '{policy.name}' has grown to {size} bytes of state; at most {STATE_BYTES_MAX}")
    return world.outcomes
