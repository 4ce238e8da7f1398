"""Whether a journal can know what a policy would have cost, and if not, what would be enough.

An estimate is made only inside what the log explored. Rules: a choice that the log would have drawn less than once in a
thousand counts as not explored; at most 1 % of the choices may be so, and are left out; the weights must be worth at
least 50 requests, and no less than a hundred requests may be there. A log that never drew tells of its own choices alone.
"""

from collections import Counter
from dataclasses import dataclass
from math import ceil, sqrt

from hedgerow.assurance.evaluation.estimators import effective_size
from hedgerow.assurance.evaluation.logged import ADVISED, NO_ARM, Logged
from hedgerow.core.arms import Floats
from hedgerow.errors import UsageError

CHANCE_MIN = 0.001 - 1e-9  # a policy draws in whole steps of 2^-32
OUTSIDE_MAX = 0.01
EFFECTIVE_MIN = 50.0
REQUESTS_MIN = 100
BLOCKS_MIN = 20
_ERRORS = 6.0  # what no luck explains


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the policy's choices the log explored.

    `matched`: share of requests in which the log chose the same; `outside`: share whose choice it would not have drawn;
    `effective`: requests that the weights are worth; `weight_mean`: 1 within a few `weight_error` where the propensities are right.
    """

    requests: int
    matched: float
    outside: float
    effective: float
    least_chance: float
    weight_mean: float
    weight_error: float


class Unsupported(UsageError):
    """The journal cannot tell what was asked; nothing is wrong with it or with the policy."""

    def __init__(self, message: str, support: Support) -> None:
        super().__init__(message)
        self.support = support


def support_of(logged: Logged) -> Support:
    """The figures, over all requests that were decided and ended."""
    if not logged.requests:
        return Support(0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    inside = logged.chance >= CHANCE_MIN
    weight = logged.weight[inside]
    return Support(
        requests=logged.requests,
        matched=float((logged.weight > 0).mean()),
        outside=float((~inside).mean()),
        effective=effective_size(weight),
        least_chance=float(logged.chance.min()),
        weight_mean=float(weight.mean()) if len(weight) else 0.0,
        weight_error=float(weight.std()) / sqrt(len(weight)) if len(weight) else 0.0,
    )


def refusal(logged: Logged, support: Support) -> str:
    """Why no estimate can be made, how much support there was and what would be enough; "" where one can."""
    who, log = f"policy '{logged.policy}'", f"'{logged.header.policy}'"
    if support.requests < REQUESTS_MIN:
        return f"{support.requests} requests were decided and ended in this journal; at least {REQUESTS_MIN} are needed"
    if not logged.randomised and support.outside > 0:
        why = f"the journal of {log} never drew (each propensity is 1), and {who} chooses otherwise in {support.outside:.1%}"
        return f"{why} of its requests{_most_often(logged)}. {_enough(logged)}"
    if support.outside > OUTSIDE_MAX:
        why = f"{who} chooses in {support.outside:.1%} of the requests what {log} would not have drawn"
        return f"{why}{_most_often(logged)}; at most {OUTSIDE_MAX:.0%} may be so. {_enough(logged)}"
    if support.effective < EFFECTIVE_MIN:
        why = f"what {log} drew of the choices of {who} is worth {support.effective:.0f} requests of {support.requests}"
        return f"{why}; at least {EFFECTIVE_MIN:.0f} are needed. {_enough(logged)}"
    if abs(support.weight_mean - 1.0) > _ERRORS * support.weight_error + 1e-6:
        said = (
            f"the weights come to {support.weight_mean:.2f} where 1 is right, give or take {support.weight_error:.2f}"
        )
        return f"{said}: {log} did not draw by the propensities that it states"
    return ""


def _most_often(logged: Logged) -> str:
    """Which choice it was that the log left out."""
    outside = logged.asked_arm[logged.chance < CHANCE_MIN].tolist()
    arm, count = Counter(outside).most_common(1)[0]
    name = "no arm" if arm == NO_ARM else logged.header.table.arms[arm].name
    return f" (most often {name}: {count})"


def _enough(logged: Logged) -> str:
    """What to log with, and for how long, so that it can be told."""
    ways = [_way(name, logged.advised_chance[name]) for name in ADVISED]
    if logged.randomised:
        here = _needed(logged.chance)
        ways += [f"about {here} requests of '{logged.header.policy}'"] if here else []
    found = [way for way in ways if way]
    if found:
        return f"Enough would be, on such a course: {' or '.join(found)}"
    return "No policy that explores would draw these choices often enough: try the policy itself for a while"


def _way(name: str, chance: Floats) -> str:
    needed = _needed(chance)
    return f"{needed} requests logged with --policy {name}" if needed else ""


def _needed(chance: Floats) -> int:
    """Requests until the weights are worth EFFECTIVE_MIN: for a policy that does not draw, that many times the mean of
    1 / chance, and half as many again for luck; 0 where too much would stay outside."""
    inside = chance >= CHANCE_MIN
    if (~inside).mean() > OUTSIDE_MAX:
        return 0
    needed = 1.5 * EFFECTIVE_MIN * float((1.0 / chance[inside]).mean())
    return max(REQUESTS_MIN, ceil(needed / 10) * 10)
