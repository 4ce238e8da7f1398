"""What models say of one sample, side by side, and what was made of it: the words of arbitration, apart from its rules; and
from how much of what was sent one of them said it.

A view is one model's calibrated probabilities for one sample. They are made outside (an exponential has other bits on another
processor), rounded, and enter as part of an event, so that a journal replays to the same decisions.
"""

from dataclasses import dataclass
from enum import StrEnum

from hedgerow.core.quick import quicken


@dataclass(frozen=True, slots=True)
class Seen:
    """A model's likeliest `labels` (indices) with their calibrated `probabilities`, falling; what these leave of 1 lies among
    all other labels. `version`: of the model that said so, empty when nobody can tell."""

    version: str
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    """Whose view it is: `model`, run on `tier`; `age_ns`, a length, is how much older than the sample in question its own was."""

    model: str
    tier: str
    seen: Seen
    age_ns: int = 0


class Rule(StrEnum):
    """Which rule decided; the first that applies does, in this order."""

    NO_VIEW = "no_view"  # none that counts: the label of the answer itself stands
    AGREED = "agreed"  # all say the same label, and agreed labels were declared to stand
    TIE = "tie"  # several cost the least: the one that the weightiest view says, else the first
    LEAST_COST = "least_cost"
    GROUP = "group"  # least cost as well: no label is as cheap as saying only the group


class Aside(StrEnum):
    """Why a view does not count."""

    VERSION = "version"  # of another version of the model than was declared
    UNREADABLE = "unreadable"  # unknown labels, or probabilities that are none
    TOO_OLD = "too_old"
    NO_WEIGHT = "no_weight"  # declared to weigh nothing


@dataclass(frozen=True, slots=True)
class Weighed:
    """A view with what it counted for; `aside` says why it did not."""

    model: str
    tier: str
    age_ms: float
    seen: Seen
    weight: float
    aside: Aside | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules make of the views: `label` (the likeliest of `group`, where a group is the answer), what it is expected to
    cost, the pooled belief, and what the simple rules would have said (label indices, by rule)."""

    rule: Rule
    label: int
    group: str
    cost: float
    pooled: Seen
    views: tuple[Weighed, ...]
    others: tuple[tuple[str, int], ...]
    conflict: bool


@dataclass(frozen=True, slots=True)
class Arbitrated:
    """The views of a request were not one: `label` is what was delivered (-1: nothing yet known or nothing at all), `suggested`
    what the rules say (`probability`: the pooled one), `group` its group where only that is said. They differ where the answer is the device's own, of a safety
    stream, or had been delivered when the last view came (`late`)."""

    request: int
    stream: str
    rule: Rule
    label: int
    suggested: int
    group: str
    cost: float
    probability: float
    views: tuple[Weighed, ...]
    others: tuple[tuple[str, int], ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class PrefixAnswer:
    """A remote answer came from the first `prefix_bytes` of `payload_bytes`, which agrees with the reference in `quality` of all
    cases; it counts where what else would answer agrees in fewer (`behind`)."""

    request: int
    prefix_bytes: int
    payload_bytes: int
    quality: float
    behind: float


for _kind in (Seen, ModelView, Weighed, Verdict):  # records.py does the rest
    quicken(_kind)
