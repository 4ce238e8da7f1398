"""Plays a link's course: a steady link or a trace, with a script of faults laid over it.

Rules: time is an argument (seconds since the link's clock was started); the same course gives the same conditions.
"""

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.script import Script
from hedgerow.emulation.traces import Trace


class Player:
    """What the link is like at any moment of its clock."""

    def __init__(self, base: LinkConditions | Trace, script: Script | None = None) -> None:
        self._base = base
        self._script = script or Script()

    def before_start(self) -> LinkConditions:
        """The conditions while the clock waits: those of the course's first moment, without the script."""
        return self._base if isinstance(self._base, LinkConditions) else self._base.at(0.0)

    def at(self, time_s: float) -> LinkConditions:
        """The conditions at `time_s`."""
        base = self._base if isinstance(self._base, LinkConditions) else self._base.at(time_s)
        return self._script.over(base, time_s)

    def next_change_s(self, time_s: float) -> float | None:
        """When they may change next, strictly after `time_s`; None for never."""
        moments = [self._script.next_change_s(time_s)]
        if isinstance(self._base, Trace):
            moments.append(self._base.next_change_s(time_s))
        return min((moment for moment in moments if moment is not None), default=None)

    def resets(self, after_s: float, upto_s: float) -> int:
        """How many scripted resets fall into (after_s, upto_s]."""
        return self._script.resets(after_s, upto_s)
