"""A journal read under a question: what would policy P have chosen at each decision, and what did the logged choice cost?

The journal is put through a fresh core under its own policy, and at each decision P is asked on the side, about the very view.
So the logged propensity and P's choice belong to one and the same view. Rules:

- P changes nothing: it sees arrays that it cannot write, draws by another seed than the log did, and one that learns hears
  only of attempts that it would have made itself (P as it would be after this history, not after its own).
- Of a request that is decided again (a background retry draws the same number anew) the first decision is P's; what follows it
  is the log's, as are all later requests.
- "None" leaves a request to the core's own local plan; it counts as the whole local arm that this plan would run.
- Costs are DESIGN.md's sum of what the journal shows: energy until the answer and after it, bytes and cloud time, the
  delivered answer's calibrated agreement (0 where late), the reserve where a remote arm needed it. Probes are beside.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hedgerow.assurance.evidence import Evidence
from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable, Flags, Floats, RunStep
from hedgerow.core.policies import Choice, Feedback, Learns, Policy, View, by_name
from hedgerow.core.policies.expecting import expected
from hedgerow.core.policies.exploring import Explores
from hedgerow.core.policies.guarding import Guarded
from hedgerow.core.views import PrefixAnswer
from hedgerow.errors import UsageError
from hedgerow.journal import Header, Step, replayed_steps

NO_ARM = -1
COLUMNS = ("cost_mj", "energy_mj", "uplink_bytes", "disagreement", "late", "reserve")
"""What is told of each request, beside its cost: disagreement is 1 - quality; late and reserve are 0 or 1."""
ADVISED = ("exploring", "exploring-more")  # what a refusal may advise to log with
_OTHER_SEED = 0x5EED


@dataclass(frozen=True)
class Logged:
    """Arrays over requests, in the order of their decisions. `logged_arm`, `asked_arm`: columns of the table.

    `weight`: 1 / propensity of what was logged where P chooses the same, else 0 (P's own propensity / the log's, where P says what
    it draws). `chance`: the probability with which the
    log would have drawn P's choice; `advised_chance[name]` the same, had that policy logged. `outcomes[column]`: what came
    of it; `guesses[column]` (requests, 2): what was expected of the logged and of P's arm when it was decided.
    """

    header: Header
    policy: str
    randomised: bool
    decided_ns: NDArray[np.int64]
    logged_arm: NDArray[np.int64]
    asked_arm: NDArray[np.int64]
    weight: Floats
    chance: Floats
    advised_chance: dict[str, Floats]
    outcomes: dict[str, Floats]
    guesses: dict[str, Floats]
    unended: int
    undecided: int
    probe_mj: float
    probe_bytes: int

    @property
    def requests(self) -> int:
        """Those that were decided and ended."""
        return len(self.weight)

    def only(self, inside: Flags) -> "Logged":
        """The same of these requests alone."""
        return replace(
            self,
            decided_ns=self.decided_ns[inside],
            logged_arm=self.logged_arm[inside],
            asked_arm=self.asked_arm[inside],
            weight=self.weight[inside],
            chance=self.chance[inside],
            advised_chance={name: each[inside] for name, each in self.advised_chance.items()},
            outcomes={name: each[inside] for name, each in self.outcomes.items()},
            guesses={name: each[inside] for name, each in self.guesses.items()},
        )


@dataclass(slots=True)
class _Row:
    """One request while the journal is walked."""

    decided_ns: int
    logged: int
    asked: int
    guesses: dict[str, tuple[float, float]]
    weight: float
    chance: float
    advised: dict[str, float]
    cloud_ns: int = 0
    reserve: bool = False
    ended: r.Delivered | None = None
    delivered: r.Deliver | None = None
    part_quality: float | None = None  # of a remote answer that came from a part of what was sent


class Asking:
    """The logging policy, which decides, with P beside it, which is asked."""

    def __init__(self, logging: Policy, asked: Policy, margins: r.Margins) -> None:
        self.name, self.uses_reserve = logging.name, logging.uses_reserve
        self._logging, self._policy, self._asked, self._margins = logging, asked, Guarded(asked), margins
        every = {name: by_name(name) for name in ADVISED}
        self._advised = {name: policy for name, policy in every.items() if isinstance(policy, Explores)}
        self.rows: dict[int, _Row] = {}
        self.randomised = False

    def choose(self, view: View) -> Choice | None:
        """What the log's policy chooses; what P would is noted."""
        choice = self._logging.choose(view)
        told = self._asked.choose(replace(view, seed=view.seed ^ _OTHER_SEED))
        if self._asked.problem:
            raise UsageError(f"cannot evaluate it: {self._asked.problem}")
        if view.request not in self.rows:
            self._note(view, choice, told)
        return choice

    def _note(self, view: View, choice: Choice | None, told: Choice | None) -> None:
        """One request's first decision."""
        shares, own = _shares(self._logging, view), _shares(self._policy, view)
        if choice is not None and choice.reason is r.Reason.POLICY_FAILED:
            shares = None  # what decides in its place does not draw
        left = left_to_core(view, self._margins)
        logged, asked = (left if each is None else each.arm for each in (choice, told))
        propensity = 1.0 if choice is None else choice.propensity
        self.randomised = self.randomised or propensity < 1
        if shares is not None:
            chance = _share_of(shares, asked, left)
        elif propensity < 1:
            lacks = f"the log's policy '{self.name}' draws but has no propensities(view)"
            raise UsageError(f"{lacks}, so what it left out cannot be known; see policies/exploring.py")
        else:
            chance = float(logged == asked)
        if shares is not None:  # two ways to one arm, where None is one of them, are one
            propensity = _share_of(shares, logged, left)
        wanted = float(logged == asked) if own is None else _share_of(own, logged, left)
        advised = {name: _share_of(policy.propensities(view), asked, left) for name, policy in self._advised.items()}
        guesses = _guesses(view, logged, asked)
        self.rows[view.request] = _Row(view.now_ns, logged, asked, guesses, wanted / propensity, chance, advised)

    def learn(self, feedback: Feedback) -> None:
        """The log's policy hears of all, P of what it would have done."""
        if isinstance(self._logging, Learns):
            self._logging.learn(feedback)
        row = self.rows.get(feedback.request)
        if row is not None and row.asked == feedback.arm:
            self._asked.learn(feedback)


def _shares(policy: Policy, view: View) -> Floats | None:
    within = policy.policy if isinstance(policy, Guarded) else policy
    return within.propensities(view) if isinstance(within, Explores) else None


def _share_of(shares: Floats, arm: int, left: int) -> float:
    """The probability of one arm; a policy that chose None (all 0) chose what is left to the core."""
    drawn = float(shares.sum())
    if drawn == 0:
        return float(arm == left)
    return 0.0 if arm == NO_ARM else float(shares[arm])


def left_to_core(view: View, margins: r.Margins) -> int:
    """The whole local arm that the core runs where a policy chooses None: of the models that fit, the cheapest; NO_ARM where none
    fits. It is told from the view: a model fits if its bound does, as on a lane that nobody else waits for."""
    table, best, least = view.table, NO_ARM, float("inf")
    shortest = min(model.tail_bound_ns[0] for model in table.locals)
    for column, arm in enumerate(table.arms):
        if not view.admissible[column] or not _whole(table, column):
            continue
        bound = table.local(arm.model).tail_bound_ns[0]
        fits = bound + (margins.timer_ns if bound > shortest else 0) <= view.time_left_ns
        if fits and view.cost_mj[column] < least:
            best, least = column, float(view.cost_mj[column])
    return best


def _whole(table: ArmTable, column: int) -> bool:
    match table.arms[column].steps:
        case (RunStep(tier="device", first=0) as only,):
            return only.last == table.local(only.model).last
        case _:
            return False


def _guesses(view: View, logged: int, asked: int) -> dict[str, tuple[float, float]]:
    """What the decision itself expects of both arms, column by column."""
    table, (cost, needed) = view.table, expected(view)
    late = np.add.reduce((view.network_ns + view.device_ns > view.time_left_ns) * view.weights[:, None], axis=0)
    by_column = {
        "cost_mj": cost,
        "energy_mj": view.energy_mj + needed * view.reserve_energy_mj,
        "uplink_bytes": table.up_bytes,
        "disagreement": table.disagreement + late * (table.quality - view.reserve_quality),
        "late": np.zeros(len(table.arms)),
        "reserve": needed,
    }
    return {name: (_of(row, logged), _of(row, asked)) for name, row in by_column.items()}


def _of(row: Floats, arm: int) -> float:
    return 0.0 if arm == NO_ARM else float(row[arm])


def read(path: str | Path, policy: Policy, logged_by: Policy | None = None) -> Logged:
    """The journal under the question of `policy` (a fresh one). `logged_by`: the log's own policy if it is none that a name finds.

    UsageError for what is no journal, is cut short, does not replay, states no propensities, or cannot be asked.
    """
    made: list[Asking] = []

    def under(header: Header) -> Asking:
        logging = logged_by or by_name(header.policy)
        if policy.uses_reserve != logging.uses_reserve:
            holds = "holds no reserve" if logging.uses_reserve else "holds a reserve"
            raise UsageError(
                f"'{policy.name}' {holds}, unlike '{logging.name}' that logged: its costs are not in there"
            )
        made.append(Asking(logging, policy, header.margins))
        return made[0]

    header, steps = replayed_steps(path, under)
    asking = made[0]
    walked = _Walk(asking.rows, header.table)
    evidence = Evidence.of(walked.past(steps), margins=header.margins, energy=header.table.energy)
    rows = {request: row for request, row in sorted(asking.rows.items()) if row.ended is not None}
    priced = {
        request: _priced(header, row, evidence.energy_after_mj.get(request, 0.0)) for request, row in rows.items()
    }
    found = list(rows.values())
    return Logged(
        header, policy.name, asking.randomised,
        np.array([row.decided_ns for row in found], np.int64),
        np.array([row.logged for row in found], np.int64),
        np.array([row.asked for row in found], np.int64),
        np.array([row.weight for row in found]),
        np.array([row.chance for row in found]),
        {name: np.array([row.advised[name] for row in found]) for name in ADVISED},
        {name: np.array([each[name] for each in priced.values()]) for name in COLUMNS},
        {name: np.array([row.guesses[name] for row in found]).reshape(-1, 2) for name in COLUMNS},
        len(asking.rows) - len(rows), len(walked.arrived - set(asking.rows)),
        sum(each.energy_mj for each in evidence.probes), sum(each.uplink_bytes for each in evidence.probes),
    )  # fmt: skip


class _Walk:
    """Notes in the rows what the steps say of them, on their way to `Evidence`."""

    def __init__(self, rows: dict[int, _Row], table: ArmTable) -> None:
        self._rows, self._table = rows, table
        self.arrived: set[int] = set()

    def past(self, steps: Iterable[Step]) -> Iterable[Step]:
        for step in steps:
            self._take(step[1], step[2])
            yield step

    def _take(self, event: r.Event, outcome: r.Outcome) -> None:
        if isinstance(event, r.RequestArrived):
            self.arrived.add(event.request)
        elif isinstance(event, r.AnswerArrived) and event.request in self._rows:
            self._rows[event.request].cloud_ns += event.decode_ns + event.compute_ns
        for record in outcome.records:
            if isinstance(record, r.ReserveStarted):
                row = self._rows.get(record.request)
                if row is not None:
                    row.reserve = row.logged != NO_ARM and bool(self._table.is_remote[row.logged])
            elif isinstance(record, PrefixAnswer) and record.request in self._rows:
                self._rows[record.request].part_quality = record.quality
            elif isinstance(record, r.Delivered) and record.request in self._rows:
                self._rows[record.request].ended = record
        for action in outcome.actions:
            if isinstance(action, r.Deliver) and action.request in self._rows:
                self._rows[action.request].delivered = action


def _priced(header: Header, row: _Row, energy_after_mj: float) -> dict[str, float]:
    """The parts of one request's cost, and their sum."""
    assert row.ended is not None
    table, prices = header.table, header.prices
    quality, answer = 0.0, row.delivered
    if answer is not None and answer.status is r.Status.ANSWERED:
        if answer.source is r.Source.REMOTE:
            whole = next(arm.quality for arm in table.arms if arm.name == answer.arm)
            quality = whole if row.part_quality is None else row.part_quality
        elif answer.source is r.Source.LOCAL:
            quality = table.local(answer.model).quality
    in_time = answer is not None and answer.status in (r.Status.ANSWERED, r.Status.SAFE_VALUE, r.Status.SPOOLED)
    energy = row.ended.energy_mj + energy_after_mj
    money = row.ended.uplink_bytes * (table.money_per_mb * 1e-6) + row.cloud_ns * (table.money_per_cloud_s * 1e-9)
    cost = energy + money * prices.money_mj + prices.disagreement_mj * (1.0 - quality) + prices.reserve_mj * row.reserve
    figures = (cost, energy, float(row.ended.uplink_bytes), 1.0 - quality, float(not in_time), float(row.reserve))
    return dict(zip(COLUMNS, figures, strict=True))
