"""One world as a sequence of decisions: the real core runs on a thread of its own and waits wherever it would ask its policy.

Nothing is copied from the core or the simulator: the asking policy hands the view over and blocks until an arm is given. Rules:
exactly one of the two threads runs at any moment, so an episode is as deterministic as the world; what an answer costs is counted
as it arises (energy when it is spent, disagreement when the answer is delivered, the reserve's price when it starts), so the
rewards of an episode sum to the cost that `Run.cost_mj` tells; an episode that is left early ends its thread.
"""

import threading
from typing import Final

import numpy as np

from hedgerow.core import records as r
from hedgerow.core.arms import Floats
from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import chosen
from hedgerow.core.policies.learned_features import OWN, SHARED, SLOTS, Seen, seen
from hedgerow.errors import UsageError
from hedgerow.simulation.body import Body
from hedgerow.simulation.world import SETTLE_NS, Setup, build

WIDTH: Final = 1 + len(OWN) + len(SHARED)
"""Of one slot: whether it may be chosen, its own figures, the shared ones."""


class _Left(Exception):
    """The episode was left: unwinds the world's thread."""


class Meter:
    """What has been spent so far in a world, in mJ, in the terms of `Run.cost_mj`."""

    def __init__(self, setup: Setup, prices: r.Prices) -> None:
        self._table, self._prices, self._setup = setup.table, prices, setup
        self._columns = {arm.name: column for column, arm in enumerate(setup.table.arms)}
        deadlines = {stream.name: stream.deadline_ns for stream in setup.streams}
        self._due = [each.captured_ns + deadlines[each.stream] for each in setup.arrivals]
        self._chosen: dict[int, int] = {}
        self.told = 0
        self._answers_mj = self._reserves_mj = 0.0

    def see(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        for record in outcome.records:
            if isinstance(record, r.Decision):
                self._chosen[record.request] = self._columns.get(record.arm, -1)
            elif isinstance(record, r.ReserveStarted):
                column = self._chosen.get(record.request, -1)
                self._reserves_mj += self._prices.reserve_mj * bool(column >= 0 and self._table.is_remote[column])
        for action in outcome.actions:
            if isinstance(action, r.Deliver):
                self.told += 1
                quality = self._quality(action) if now_ns <= self._due[action.request] else 0.0
                self._answers_mj += self._prices.disagreement_mj * (1.0 - quality)

    def _quality(self, action: r.Deliver) -> float:
        column, sample = self._columns.get(action.arm, -1), self._setup.arrivals[action.request].sample
        if action.source is r.Source.REMOTE:
            return self._setup.answering.remote_quality(column, sample)
        local = action.source is r.Source.LOCAL
        return self._setup.answering.local_quality(column, action.model, sample) if local else 0.0

    def spent_mj(self, body: Body) -> float:
        """Everything until now, probes included."""
        tally, table = body.tally, self._table
        money = (sum(tally.up_bytes.values()) + tally.probe_bytes) * (table.money_per_mb * 1e-6)
        money += sum(tally.cloud_ns.values()) * (table.money_per_cloud_s * 1e-9)
        energy = sum(tally.energy_mj.values()) + tally.probe_mj
        return energy + money * self._prices.money_mj + self._answers_mj + self._reserves_mj


class Episode:
    """`observation` (SLOTS, WIDTH) of the decision that waits, None once the world is over; `act` takes its slot.

    `seen` and `view` are what the observation was made of (the view's arrays are valid until the next `act`).
    """

    name = "asking"
    uses_reserve = True

    def __init__(self, setup: Setup, prices: r.Prices, base_mj: float) -> None:
        self._base_mj, self._count = base_mj, len(setup.arrivals)
        self._end_ns = (setup.arrivals[-1].arrival_ns if setup.arrivals else 0) + SETTLE_NS
        self._meter = Meter(setup, prices)
        self._body = build(setup, self, prices, watch=self._meter.see)
        self._asked, self._told = threading.Semaphore(0), threading.Semaphore(0)
        self._over, self._left = False, False
        self._error: BaseException | None = None
        self._slot, self._spent_mj = 0, 0.0
        self.view: View | None = None
        self.seen: Seen | None = None
        self.decisions = 0
        self._thread = threading.Thread(target=self._run, name="hedgerow-episode", daemon=True)
        self._thread.start()
        self._wait()

    @property
    def observation(self) -> Floats | None:
        return None if self.seen is None else observation(self.seen)

    @property
    def spent_mj(self) -> float:
        """All that this world has cost until now."""
        return self._meter.spent_mj(self._body)

    def act(self, slot: int) -> float:
        """Start the arm in this slot and go on to the next decision or the end: minus what was spent since, over the base."""
        if self.seen is None:
            raise UsageError("this episode is over: start another")
        if not 0 <= slot < len(self.seen.columns):
            raise UsageError(f"slot {slot} holds no arm; the first {len(self.seen.columns)} do")
        self._slot = slot
        self._told.release()
        self._wait()
        spent, before = self.spent_mj, self._spent_mj
        if self._over and self._meter.told < self._count:
            raise RuntimeError(f"{self._count - self._meter.told} requests were never answered")
        self._spent_mj = spent
        return (before - spent) / self._base_mj

    def leave(self) -> None:
        """End the world now; harmless when it is over."""
        if not self._over:
            self._left = True
            self._told.release()
            self._thread.join()
        self.seen = self.view = None

    def choose(self, view: View) -> Choice | None:
        """What the core asks, on the world's thread."""
        found = seen(view)
        if found is None:
            return None
        self.seen, self.view = found, view
        self._asked.release()
        self._told.acquire()
        if self._left:
            raise _Left
        self.decisions += 1
        return chosen(view, int(found.columns[self._slot]))

    def _wait(self) -> None:
        self._asked.acquire()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._body.clock.run(self._end_ns)
        except _Left:
            pass
        except BaseException as error:  # carried to the thread that waits
            self._error = error
            raise
        finally:
            self._over, self.seen, self.view = True, None, None
            self._asked.release()


def observation(what: Seen) -> Floats:
    """(SLOTS, WIDTH): slots without an arm are all zero."""
    found, count = np.zeros((SLOTS, WIDTH)), len(what.columns)
    found[:count, 0] = 1.0
    found[:count, 1 : 1 + len(OWN)] = what.own.T
    found[:count, 1 + len(OWN) :] = what.shared
    return found
