"""How alike samples are in a virtual world, for streams that declare reuse: what a device's shell would have compared.

Drawn by request from the seed: about half of a stream's samples differ from the one that its kept answer belongs to by no more than
declared. Like the device's shell it learns from the core alone which answer that is.
"""

from collections.abc import Iterable
from dataclasses import replace

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
