"""What crosses: an attempt is noted at its link and sent, and what the first part of its payload is worth to this request.

A payload whose codec orders its bytes by importance can be answered from its first part (`CrossStep.prefixes`, measured). Rules:

1. Such a part is asked for only where its agreement is better than that of what else would answer this request, and the
   least part that is so. A request without anything behind it takes any part; background waits for the whole.
2. The other side waits for the rest as long as an answer can still come in time: the time left, less the believed way back,
   decoding and computing with a margin, and the timer's lateness, by which a finished reserve is handed over sooner.
3. What came from a part counts with the agreement of the largest measured part within it (`CrossStep.quality_of`), and as no answer
   at all if something better has come to stand behind the request meanwhile.
"""

from collections.abc import Mapping
from typing import Final

from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable, CrossStep
from hedgerow.core.budgets import Budgets
from hedgerow.core.flight import Flight, Primary
from hedgerow.core.link import Attempt, Link
from hedgerow.core.views import PrefixAnswer

MARGIN: Final = 1.25  # by which the way back and the computation may take longer than believed


class Sending:
    """`records` and `actions` are the core's lists of the present step; `uses_reserve`: whether anything answers in its place."""

    def __init__(
        self, table: ArmTable, limits: r.Limits, margins: r.Margins, budgets: Budgets, links: Mapping[str, Link],
        records: list[r.Record], actions: list[r.Action], *, uses_reserve: bool,
    ) -> None:  # fmt: skip
        self._table, self._limits, self._margins, self._budgets, self._links = table, limits, margins, budgets, links
        self._records, self._actions, self._uses_reserve = records, actions, uses_reserve

    def send(self, flight: Flight, step: CrossStep, size: int, now: int) -> Attempt | None:
        """Send a payload of `size` bytes; returns the attempt that had to be given up for it, if one had."""
        assert flight.arm is not None
        run, link = flight.arm.beyond(flight.step), self._links[step.link]
        flight.attempt, flight.primary = flight.attempt + 1, Primary.CROSSING
        flight.uplink_bytes += size
        trip_ns, ns_per_byte, factor = link.belief.latest()
        radio_mj = self._table.energy.radio_mj(size * ns_per_byte)
        flight.energy_mj += radio_mj
        self._budgets.spend(uplink_bytes=size, energy_mj=radio_mj)
        useful = flight.expires_ns if flight.background else flight.due_ns
        lost_at = max(useful, now) + self._limits.loss_after_ns
        if not self._uses_reserve:  # nothing answers in its place, so even a late answer is useful
            useful = lost_at = max(useful, now) + self._limits.unanswered_wait_ns
        cloud_ns = float(run.median_ns + step.decode_ns)
        network_ns = flight.predicted_network_ns
        moments = (now, size, cloud_ns, network_ns, useful, lost_at, flight.column, flight.decided_ns)
        given_up = link.sent(Attempt(flight.request, flight.attempt, *moments))
        flight.crossed = (step, size)
        part = (0, 0)
        if step.prefixes and not flight.background:
            beyond_ns = MARGIN * (min(trip_ns, max(network_ns, 1.0)) + factor * cloud_ns) + self._margins.timer_ns
            least = step.least_bytes(size, flight.stands_in)
            part = (least, max(0, int(flight.due_ns - now - beyond_ns))) if least else part
        across = (step.link, run.model, run.first - 1, run.last, step.codec)
        self._actions.append(r.Send(flight.request, flight.attempt, *across, useful, *part))
        return given_up

    def accepts(self, flight: Flight, event: r.AnswerArrived) -> bool:
        """Whether this answer to its attempt is one; of what came from a part it is noted how good that is."""
        if not event.prefix_bytes or flight.crossed is None:
            return True
        step, size = flight.crossed
        quality, behind = step.quality_of(event.prefix_bytes / size), flight.stands_in
        self._records.append(PrefixAnswer(flight.request, event.prefix_bytes, size, quality, behind))
        if quality <= behind:
            return False
        flight.part_quality = quality
        return True
