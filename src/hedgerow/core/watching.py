"""What was measured against what was promised: each bound that was exceeded is told, and a certificate's governor hears of it."""

from collections.abc import Mapping

from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable
from hedgerow.core.certificate import Governor
from hedgerow.core.desk import Desk
from hedgerow.core.flight import Job
from hedgerow.core.records import NOISE_NS


class Watch:
    """`records` is the core's list of the present step; `desks` learn how their lanes run."""

    def __init__(
        self, table: ArmTable, desks: Mapping[str, Desk], governor: Governor | None, records: list[r.Record]
    ) -> None:
        self._table, self._desks, self._governor, self._records = table, desks, governor, records

    def ran(self, job: Job, event: r.RunDone, now_ns: int) -> None:
        """Compare what was measured with its bounds, and learn how the lane runs."""
        model = self._table.local(job.model)
        request, spent, took = job.flight.request, sum(event.segment_ns), now_ns - job.started_ns
        for segment, measured in enumerate(event.segment_ns, start=job.first):
            if measured > model.segment_bound_ns[segment] + NOISE_NS:
                what, bound_ns = f"segment {model.name}:{segment}", model.segment_bound_ns[segment]
                self.compare(request, what, measured, bound_ns, now_ns, took)
        if event.last == job.last and took > job.bound_ns:
            self.compare(request, f"run {model.name}", took, job.bound_ns, now_ns)
        median = sum(model.segment_median_ns[job.first : event.last + 1])
        if median > 0:
            self._desks[event.lane].belief.observe(spent / median)

    def compare(
        self, request: int, what: str, measured_ns: int, bound_ns: int, now_ns: int, begun_ago_ns: int = 0
    ) -> None:
        """Note what took longer than its bound; it, or what it is a part of, began so long ago."""
        if measured_ns > bound_ns:
            self._records.append(r.BoundExceeded(request, what, measured_ns / 1e6, bound_ns / 1e6))
            if self._governor is not None:
                self._governor.exceeded(what, now_ns, now_ns - max(measured_ns, begun_ago_ns))
