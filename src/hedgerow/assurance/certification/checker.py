"""Accepts or rejects a certificate: every claim is computed again from the inputs in the file, by other code than made it.

Shared with the analysis are only the records and the reading of files. Here the demand test looks at *every* due up to the busy
period; a slack is right if the lane bears it and not one ns more. What each claim means: `docs/certificate.md`.
"""

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification.streams import Declared, DeclaredMode, parse_streams
from hedgerow.errors import UsageError

MOMENTS_MAX = 4_000_000
Work = tuple[int, int, int, int]  # cost, distance, within, longest segment
Bounds = dict[tuple[str, str], d.BoundsClaim]  # by model and lane
Given = tuple[Declared, Bounds, tuple[d.HoldClaim, ...], d.MarginsClaim]
Found = dict[str, tuple[Work, list[d.BoundsClaim]]]  # by stream: its work, its reserves from the cheapest on


def check(document: d.Document) -> list[str]:
    """The claims that do not hold, by their places; empty: all hold."""
    try:
        right = _again(document, parse_streams(document.inputs.streams))
    except UsageError as error:
        return [str(error)]
    except (LookupError, ValueError, ArithmeticError) as error:
        return [f"its parts do not fit together ({type(error).__name__}: {error})"]
    return d.differences(document, right)


def _again(doc: d.Document, declared: Declared) -> d.Document:
    """The document as it must be; what is only claimed to be possible (where a stream runs, slack) stands if it holds."""
    margins, bounds = _margins(doc.inputs, declared), tuple(_bounds(each, declared) for each in doc.inputs.models)
    known: Bounds = {(each.model, each.lane): each for each in bounds}
    if len(known) != len(bounds) or {each.name for each in declared.lanes} - {each.lane for each in bounds}:
        raise UsageError("a model is measured twice, or a lane is declared that was not measured")
    holds = tuple(_hold(each, known, declared) for each in doc.inputs.arms)
    given: Given = declared, known, holds, margins
    modes = tuple(_mode(given, claim, asked) for claim, asked in zip(doc.modes, declared.modes, strict=True))
    changes = tuple(_change(given, one, two) for one, two in itertools.pairwise(modes))
    head, texts = (d.FORMAT, d.KIND, "feasible"), (d.text_digest(doc.inputs.streams), d.statement_of(doc.inputs))
    return d.Document(*head, doc.inputs, margins, bounds, holds, modes, changes, *texts, d.digest_of(doc))


def _bound(time: d.Measured, declared: Declared, lane: str) -> int:
    """0.999 quantile + 10 % of 1,000 samples or more; else the largest + 20 %, of fewer than 100 + 50 %."""
    some = time.max_ns * (1.2 if time.samples >= 100 else 1.5)
    base = round(time.p999_ns * 1.1 if time.samples >= 1000 else some)
    slower = base + round((declared.device_factor - 1) * time.median_ns)
    return math.ceil(slower * (1 + declared.lane(lane).margin_share))


def _bounds(model: d.ModelInput, declared: Declared) -> d.BoundsClaim:
    alone = [_bound(each.alone, declared, model.lane) for each in model.segments]
    tail = [_bound(each.tail, declared, model.lane) for each in model.segments]
    largest = tuple(max(*alone[i:], *tail[i:]) for i in range(len(alone)))
    fewest = min(min(each.alone.samples, each.tail.samples) for each in model.segments)
    return d.BoundsClaim(model.name, model.lane, fewest, tuple(alone), largest)


def _hold(arm: d.ArmInput, known: Bounds, declared: Declared) -> d.HoldClaim:
    encode = _bound(arm.encode, declared, arm.lane) if arm.encode is not None else 0
    return d.HoldClaim(arm.name, arm.lane, max(0, encode, *known[arm.model, arm.lane].segment_ns[: arm.last + 1]))


def _margins(inputs: d.Inputs, declared: Declared) -> d.MarginsClaim:
    plain = Declared((), (), (), False, 0, 0, 0, declared.rule)
    known = ((inputs.timer, 5_000_000), (inputs.cancel, 0), (inputs.deliver, 2_000_000))
    few = [each is None or each.samples < 1000 for each, _ in known]
    bounds = [0 if each is None else _bound(each, plain, "") for each, _ in known]
    least = [max(bound, usual if rare else 0) for bound, rare, (_, usual) in zip(bounds, few, known, strict=True)]
    wanted = (declared.timer_ns, declared.cancel_ns, declared.deliver_ns)
    if any(0 < more < less for more, less in zip(wanted, least, strict=True)):
        raise UsageError("a margin is declared below what was measured")
    return d.MarginsClaim(*map(max, wanted, least))


def _mode(given: Given, claim: d.ModeClaim, asked: DeclaredMode) -> d.ModeClaim:
    declared, known, _, margins = given
    reserves = {each.name: declared.reserves(asked, each) for each in declared.streams if each.reserved}
    where = {each.stream: lane.lane for lane in claim.lanes for each in lane.streams}
    if where.keys() != {name for name, found in reserves.items() if found != ()}:
        raise UsageError(f"mode '{claim.name}': its streams are not those that need a reserve")
    every, lanes = tuple(dict.fromkeys(model for model, _ in known)), []
    for lane, name in zip(claim.lanes, dict.fromkeys(lane for _, lane in known), strict=True):
        found: Found = {}
        for stream in (each for each in declared.streams if where.get(each.name) == name):
            allowed = reserves[stream.name]
            models = [known[model, name] for model in (every if allowed is None else allowed)]
            models.sort(key=lambda each: (each.tail_ns[0], each.model))
            within = stream.deadline_ns - stream.capture_delay_ns - stream.jitter_ns
            within -= margins.deliver_ns + margins.timer_ns
            distance = stream.period_ns * asked.change(stream.name).keep_every
            found[stream.name] = (models[0].tail_ns[0], distance, within, max(models[0].segment_ns)), models
        lanes.append(_lane(given, lane, name, found))
    return d.ModeClaim(asked.name, tuple(lanes), tuple(name for name, allowed in reserves.items() if allowed == ()))


def _lane(given: Given, claim: d.LaneClaim, name: str, found: Found) -> d.LaneClaim:
    held, holds = claim.blocking_ns, [each for each in given[2] if each.lane == name]
    lane = _Lane([work for work, _ in found.values()], held, given[3].timer_ns)
    dearer = {each.model: max(each.segment_ns) for _, models in found.values() for each in models[1:]}
    optional = [*(each.hold_ns for each in holds), *dearer.values()]
    longer = [each for each in optional if each > held]
    largest = held in (0, *optional) and not (longer and replace(lane, held=min(longer)).bears())
    right = held if largest and lane.bears() else ~held  # any other figure, whatever is claimed
    arms = tuple(each.arm for each in holds if each.hold_ns > held)
    reserves = tuple(model for model, segment in dearer.items() if segment > held)
    if not lane.works or right != held:
        return d.LaneClaim(name, (), right, 0, 0, 0, 0, 0, arms, reserves)
    horizon, ppm = lane.horizon(), math.ceil(lane.load * 10**6)
    moments, left = lane.moments(lane.works, horizon)
    at = int(np.argmin(left))
    streams = tuple(_stream(claim.streams[i], lane, i, name, found[name][1]) for i, name in enumerate(found))
    tightest, taken = int(moments[at]), int(moments[at] - left[at])
    return d.LaneClaim(name, streams, held, ppm, horizon, len(moments), tightest, taken, arms, reserves)


def _stream(claim: d.StreamClaim, lane: "_Lane", at: int, name: str, models: list[d.BoundsClaim]) -> d.StreamClaim:
    cost, distance, within, segment = lane.works[at]
    reserves = tuple(each.model for each in models if each is models[0] or max(each.segment_ns) <= lane.held)
    cuts = [(cost, distance, within - cut, segment) for cut in (claim.slack_ns, claim.slack_ns + 1)]
    bears, more = (replace(lane, works=[*lane.works[:at], cut, *lane.works[at + 1 :]]).bears() for cut in cuts)
    slack = claim.slack_ns if claim.slack_ns >= 0 and bears and not more else ~claim.slack_ns
    # what is left at t is at least t (1 - load) - rest: beyond `until` no due has less than is claimed
    rest = lane.blocking + sum(work[0] for work in lane.works) + max(claim.extra_blocking_ns, 0)
    until = lane.pattern if lane.load == 1 else math.ceil(rest / (1 - lane.load))
    extra = int(lane.moments([lane.works[at]], max(until, within))[1].min())
    return d.StreamClaim(name, models[0].model, reserves, cost, distance, within, slack, extra)


def _change(given: Given, one: d.ModeClaim, two: d.ModeClaim) -> d.ChangeClaim:
    """Proven if each lane bears each stream at the dearest reserve and lesser distance of both modes, and the longer hold."""
    proven = True
    for left, other in zip(one.lanes, two.lanes, strict=True):
        both: dict[str, Work] = {}
        for each in (*left.streams, *other.streams):
            models = [given[1][model, left.lane] for model in each.reserves]
            cost, longest = map(max, zip(*((m.tail_ns[0], max(m.segment_ns)) for m in models), strict=True))
            old = both.get(each.stream, (0, each.distance_ns, 0, 0))
            both[each.stream] = (max(old[0], cost), min(old[1], each.distance_ns), each.within_ns, max(old[3], longest))
        held = max(left.blocking_ns, other.blocking_ns)
        proven = proven and _Lane(list(both.values()), held, given[3].timer_ns).bears()
    return d.ChangeClaim(one.name, two.name, proven)


@dataclass(frozen=True)
class _Lane:
    """`held`: by optional work; `handover`: once."""

    works: list[Work]
    held: int
    handover: int

    @property
    def load(self) -> Fraction:
        return sum((Fraction(work[0], work[1]) for work in self.works), Fraction(0))

    @property
    def blocking(self) -> int:
        return max(self.held, *(work[3] for work in self.works)) + self.handover

    @property
    def pattern(self) -> int:
        """After so long, beyond the largest first due, demand repeats."""
        return max(work[2] for work in self.works) + math.lcm(*(work[1] for work in self.works))

    def horizon(self) -> int:
        """The busy period after the longest blocking; a whole pattern at a load of 1; at least every first due."""
        if self.blocking > 0 and self.load == 1:
            return self.pattern
        busy, before = self.blocking + sum(work[0] for work in self.works), -1
        for _ in range(MOMENTS_MAX):
            if busy == before:
                return max(busy, *(work[2] for work in self.works))
            busy, before = self.blocking + sum(-(-busy // work[1]) * work[0] for work in self.works), busy
        raise UsageError(f"a lane is so full that its busy period takes more than {MOMENTS_MAX:,} rounds to find")

    def moments(self, of: list[Work], until: int) -> tuple[Any, Any]:
        """Every due of `of` up to `until`, each once and in order, and what is left of the time before it."""
        if sum(until // work[1] + 1 for work in of) > MOMENTS_MAX or until > 2**61:
            raise UsageError(f"it would take more than {MOMENTS_MAX:,} moments to check")
        moments = np.unique(np.concatenate([np.arange(work[2], until + 1, work[1], dtype=np.int64) for work in of]))
        left, held = moments - self.handover, np.full_like(moments, self.held)
        for cost, distance, within, segment in self.works:
            left = left - cost * np.maximum(0, (moments - within) // distance + 1)
            held = np.where(moments < within, np.maximum(held, segment), held)
        return moments, left - held

    def bears(self) -> bool:
        if any(within < cost for cost, _, within, _ in self.works) or self.load > 1:
            return False
        return not self.works or bool((self.moments(self.works, self.horizon())[1] >= 0).all())
