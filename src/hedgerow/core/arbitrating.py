"""The rules of arbitration at work in the core: which views a request has, what is delivered, what is remembered of a track.

1. A safety answer is never overwritten: it is delivered as the device gave it. What the rules suggest stands beside it, and
   counts, as all views do, for the next sample of its track.
2. Any other answer is what the rules say. Its outputs are those of the source that says so itself: the one that would have been
   delivered, else the other, else the device's own where it has some.
3. Advice that comes after the answer changes nothing but what is remembered.
4. Whenever views differ, or the label is not the source's own, it is a record, with every view in it.
"""

from dataclasses import replace

from hedgerow.core import records as r
from hedgerow.core.arbitration import VIEWS_MAX, Arbiter, Arbitration
from hedgerow.core.flight import Flight
from hedgerow.core.records import Criticality, Limits, Reason, Source
from hedgerow.core.tracks import Tracks
from hedgerow.core.views import Arbitrated, ModelView, Seen, Verdict

DEVICE = "device"


class Arbitrating:
    """`records` is the core's list of the present step. Without rules no views are kept, and nothing is changed."""

    def __init__(self, rules: Arbitration | None, limits: Limits, records: list[r.Record]) -> None:
        self._arbiter = None if rules is None else Arbiter(rules)
        self._memory = rules is not None and rules.memory > 0.0
        self._streams = rules.streams if rules else ()
        self._records = records
        self.tracks = Tracks(limits.tracks_max, limits.track_labels_max)

    def arrived(self, flight: Flight, event: r.RequestArrived) -> None:
        """A request has come; a declared change forgets its track's past."""
        flight.track = event.track
        if event.changed and self._memory:
            self.tracks.begin((flight.stream.name, event.track), event.captured_ns)

    def saw(self, flight: Flight, model: str, seen: Seen | None, tier: str = DEVICE) -> None:
        """A model has answered for this request; None: its shell gave no view."""
        if seen is None or self._arbiter is None or (self._streams and flight.stream.name not in self._streams):
            return
        kept = tuple(view for view in flight.views if (view.model, view.tier) != (model, tier))
        flight.views = (*kept, ModelView(model, tier, seen))[:VIEWS_MAX]

    def heard(self, flight: Flight, seen: Seen | None) -> None:
        """The other side has answered for this request, perhaps after the device has."""
        if flight.arm is not None:
            self.saw(flight, flight.arm.model, seen, flight.arm.beyond(flight.step).tier)
        if self._arbiter is not None and flight.closed and flight.views:
            self._advised(self._arbiter, flight)

    def settle(self, flight: Flight, source: Source, reason: Reason) -> tuple[Source, Reason]:
        """Whose outputs are delivered in the end, and why; called once for a request."""
        if self._arbiter is None or not flight.views or source not in (Source.LOCAL, Source.REMOTE):
            return source, reason
        safety = flight.stream.criticality is Criticality.SAFETY
        if safety and source is Source.LOCAL and not flight.advised:  # nothing came, or from a link no longer trusted
            flight.views = tuple(view for view in flight.views if view.tier == DEVICE)
        verdict = self._decide(self._arbiter, flight, flight.views)
        tops = {each: self._top(flight, each) for each in (Source.LOCAL, Source.REMOTE)}
        own = tops[source]
        label = own if safety or verdict.label < 0 else verdict.label
        differs = label != own or (bool(verdict.group) and not safety)
        if verdict.conflict or verdict.label not in (-1, own) or differs or any(each.aside for each in verdict.views):
            self._note(flight, verdict, label)
        if safety or verdict.label < 0 or not (verdict.conflict or differs):
            return source, reason
        other = Source.REMOTE if source is Source.LOCAL else Source.LOCAL
        if label != own and label == tops[other]:
            source = other
        elif label != own and flight.result is not None:
            source = Source.LOCAL
        return source, Reason.ARBITRATED

    def _advised(self, arbiter: Arbiter, flight: Flight) -> None:
        """Advice has come after the answer: note a difference, and remember it for the next sample."""
        verdict = arbiter.decide(flight.views)
        if verdict.conflict:
            self._note(flight, verdict, self._top(flight, Source.LOCAL), late=True)
        key = (flight.stream.name, flight.track)
        newest_ns = self.tracks.newest_ns(key)
        if not self._memory or newest_ns is None:
            return
        views = (*flight.views, *((flight.past,) if flight.past else ()))
        kept = self.tracks.earlier(key, newest_ns)
        if newest_ns > flight.captured_ns and kept is not None:  # newer samples have been seen: it counts by its age
            age_ns = newest_ns - flight.captured_ns
            views = (kept, *(replace(view, age_ns=age_ns) for view in flight.views if view.tier != DEVICE))
        self.tracks.remember(key, flight.captured_ns, arbiter.decide(views).pooled)

    def _decide(self, arbiter: Arbiter, flight: Flight, views: tuple[ModelView, ...]) -> Verdict:
        """Decide with what the track showed earlier, and let it be remembered."""
        key = (flight.stream.name, flight.track)
        flight.past = self.tracks.earlier(key, flight.captured_ns) if self._memory else None
        verdict = arbiter.decide(views if flight.past is None else (*views, flight.past))
        if self._memory and verdict.pooled.labels:
            self.tracks.remember(key, flight.captured_ns, verdict.pooled)
        return verdict

    def _top(self, flight: Flight, source: Source) -> int:
        """The label that this source's own answer has; -1 where it gave no view."""
        remote = source is Source.REMOTE
        model = flight.arm.model if remote and flight.arm else flight.result.name if flight.result else ""
        found = (v.seen.labels for v in flight.views if v.model == model and (v.tier != DEVICE) == remote)
        return next((labels[0] for labels in found if labels), -1)

    def _note(self, flight: Flight, verdict: Verdict, label: int, *, late: bool = False) -> None:
        pooled = dict(zip(verdict.pooled.labels, verdict.pooled.probabilities, strict=True))
        self._records.append(
            Arbitrated(
                flight.request, flight.stream.name, verdict.rule, label, verdict.label, verdict.group, verdict.cost,
                pooled.get(verdict.label, 0.0), verdict.views, verdict.others, late,
            )
        )  # fmt: skip
