"""How alike samples are in a virtual world, for streams that declare reuse: what a device's shell would have compared.

In the campaign (`Scenery`) it is drawn by request from the seed: about half of a stream's samples differ from the one that its kept
answer belongs to by no more than declared. In a scenario (`Scenes`) the scene stands still for a while and then moves, both for
exponential times: while it stands still every capture is the same picture, and the detector says so; while it moves every capture is
another one, and the detector overlooks that in a declared share of them. This is a model, not a measurement of any camera or
detector (docs/scenarios.md says so). Like the device's shell both learn from the core alone which answer is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hedgerow.core import records as r
from hedgerow.simulation.faulty import chance

_PURPOSE = 36  # of the numbers that `chance` makes


class Scenery:
    """Fills in arrivals, and is told of every answer."""

    def __init__(self, streams: Iterable[r.Stream], seed: int) -> None:
        self._below = {each.name: each.reuse_below for each in streams if each.reuse_below is not None}
        self._seed = seed
        self._streams: dict[int, str] = {}
        self._kept: dict[str, int] = {}

    def compared(self, event: r.RequestArrived) -> r.RequestArrived:
        """The arrival with what its sample was compared with, if with any."""
        below = self._below.get(event.stream)
        if below is None:
            return event
        self._streams[event.request] = event.stream
        kept = self._kept.get(event.stream)
        if kept is None:
            return event
        return replace(event, change=2 * below * chance(self._seed, event.request, _PURPOSE), change_from=kept)

    def delivered(self, action: r.Deliver) -> None:
        """Note which answers are kept."""
        stream = self._streams.pop(action.request, None)
        if stream is not None and action.reusable:
            self._kept[stream] = action.request


REUSE_BELOW: Final = (
    1.0  # of a scenario's streams: what a sample may differ is the unit of the scores that are made up here
)
MOVING: Final = -1


@dataclass(frozen=True, slots=True)
class Still:
    """A scene that stands still `share` of the time, for `still_s` on average (exponential), and moves in between."""

    share: float
    still_s: float
    unnoticed_share: float

    def scenes(self, random: np.random.Generator, captured_ns: Sequence[int]) -> list[tuple[int, bool]]:
        """For each capture, in order of time: the number of the spell in which the scene stands still, or MOVING; and whether the
        detector would overlook that it moves."""
        if self.share >= 1.0:
            return [(0, False)] * len(captured_ns)
        moving_s = self.still_s * (1.0 - self.share) / self.share
        overlooked = random.random(len(captured_ns)) < self.unnoticed_share
        found, number = [], 0
        still = bool(random.random() < self.share)
        until = random.exponential(self.still_s if still else moving_s) * r.SECOND
        for moment, missed in zip(captured_ns, overlooked.tolist(), strict=True):
            while moment >= until:
                still, number = not still, number + 1
                until += random.exponential(self.still_s if still else moving_s) * r.SECOND
            found.append((number, False) if still else (MOVING, bool(missed)))
        return found


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sample shows: its stream, its scene (MOVING: none that stands still), whether the detector overlooks a change."""

    stream: str
    scene: int
    unnoticed: bool


class Scenes:
    """Fills in arrivals by what the samples show, and is told of every answer."""

    def __init__(self, seen: Sequence[Seen], below: Mapping[str, float]) -> None:
        self._seen, self._below = seen, dict(below)
        self._kept: dict[str, int] = {}

    def compared(self, event: r.RequestArrived) -> r.RequestArrived:
        """The arrival with what its sample was compared with, if with any."""
        kept = self._kept.get(event.stream)
        if kept is None:
            return event
        mine, before = self._seen[event.request], self._seen[kept]
        alike = mine.unnoticed or (mine.scene != MOVING and mine.scene == before.scene)
        return replace(event, change=self._below[event.stream] * (0.5 if alike else 2.0), change_from=kept)

    def delivered(self, action: r.Deliver) -> None:
        """Note which answers are kept."""
        if action.reusable:
            self._kept[self._seen[action.request].stream] = action.request
