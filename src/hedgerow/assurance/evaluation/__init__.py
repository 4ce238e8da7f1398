"""What another policy would have cost, told from a journal without running it; refused where the journal cannot know.

    found = evaluate("run.journal", by_name("device-only"))   # Unsupported says why not, and what would be enough
    found.figures["cost_mj"].dr.mean, .low, .high

The journal must come from a policy that draws and says how (`exploring`), or from one that chose the same anyway. Each request
is taken as one trial of a contextual bandit: what a choice does to later requests (beliefs, the lane, the battery) stays as
the log had it. docs/evaluate.md says what that is worth.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from hedgerow.assurance.evaluation.estimators import Estimate, Estimates, blocks_of, corrected, estimates, folds_of
from hedgerow.assurance.evaluation.logged import COLUMNS, Logged, read
from hedgerow.assurance.evaluation.support import BLOCKS_MIN, CHANCE_MIN, Support, Unsupported, refusal, support_of
from hedgerow.core.policies import Policy
from hedgerow.core.records import SECOND

__all__ = ["COLUMNS", "Estimate", "Estimates", "Evaluation", "Support", "Unsupported", "evaluate", "judge", "read"]

BLOCK_NS = 10 * SECOND
SHARES = ("late", "reserve")
_NEVER_95 = 3.0  # what never happened in n tries has a share below 3 / n, at 95 %


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`figures` by column (`COLUMNS`), per request. Probes are the log's own, beside the sum: no choice among arms decides them."""

    policy: str
    logged_policy: str
    requests: int
    unended: int
    undecided: int
    support: Support
    blocks: int
    figures: dict[str, Estimates]
    probe_mj: float
    probe_bytes: float


def evaluate(path: str | Path, policy: Policy, *, logged_by: Policy | None = None) -> Evaluation:
    """What a fresh `policy` would have cost per request of this journal. `logged_by`: the log's own policy, where no name finds it.

    Unsupported (a UsageError) where the log explored too little of what it chooses; UsageError where the file is no such journal.
    """
    return judge(read(path, policy, logged_by))


def judge(logged: Logged) -> Evaluation:
    """The figures of what was read; Unsupported as above."""
    support = support_of(logged)
    told = refusal(logged, support)
    if told:
        raise Unsupported(told, support)
    inside = logged.chance >= CHANCE_MIN
    kept = logged if inside.all() else logged.only(inside)
    blocks = blocks_of(kept.decided_ns, BLOCK_NS, BLOCKS_MIN)
    folds, found = folds_of(blocks), {}
    for name in COLUMNS:
        outcome = kept.outcomes[name]
        guesses = corrected(outcome, kept.guesses[name], kept.logged_arm, kept.asked_arm, folds)
        found[name] = estimates(kept.weight, outcome, guesses, blocks, kept.chance)
        if name in SHARES:
            found[name] = _never(found[name], support)
    every = max(1, logged.requests)
    about = (logged.policy, logged.header.policy, logged.requests, logged.unended, logged.undecided, support)
    return Evaluation(*about, int(blocks.max()) + 1, found, logged.probe_mj / every, logged.probe_bytes / every)


def _never(found: Estimates, support: Support) -> Estimates:
    """What never happened is bounded by how often it could have; resampling zeros only gives zeros."""

    def bounded(estimate: Estimate, tries: float) -> Estimate:
        above = min(1.0, _NEVER_95 / max(tries, _NEVER_95))
        return replace(estimate, low=0.0, high=above, normal_low=0.0, normal_high=above)

    tries = {"logged": float(support.requests), **dict.fromkeys(("ips", "snips", "dr"), support.effective)}
    never = {name: bounded(getattr(found, name), tries[name]) for name in tries if getattr(found, name).mean == 0}
    return replace(found, **never)
