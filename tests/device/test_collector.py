"""The idle collector by its rules, on a clock and a heap of the test's own."""

import gc
import time
import weakref

import pytest

from hedgerow.core import Criticality, Stream
from hedgerow.core import records as r
from hedgerow.core.records import MS
from hedgerow.device.collector import DUE_ALLOCATIONS, FULL, SMALL, IdleCollector, Watch

NOTHING = r.Outcome((), ())


class Heap:
    """Counts what is collected; `full` says how many net allocations there are."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.allocated = DUE_ALLOCATIONS
        self.collected: list[int] = []

    def collect(self, generation: int) -> int:
        self.collected.append(generation)
        return 0


@pytest.fixture
def heap() -> Heap:
    return Heap()


@pytest.fixture
def collector(heap: Heap) -> IdleCollector:
    """One whose thread is not started: the test looks for it, when it was woken."""
    return IdleCollector(
        requests_max=20, collect=heap.collect, allocations=lambda: heap.allocated, clock_ns=lambda: heap.now_ns
    )


def arrive(watch: Watch, heap: Heap, number: int, stream: str = "main") -> None:
    watch(heap.now_ns, r.RequestArrived(number, stream, heap.now_ns, None), NOTHING)


def end(watch: Watch, heap: Heap, number: int) -> None:
    watch(heap.now_ns, r.TimerFired(), r.Outcome((), (r.Forget(number),)))


def look(collector: IdleCollector) -> None:
    """As its thread would."""
    if collector.woken:
        collector.look()


def test_collects_when_the_last_request_has_gone(collector: IdleCollector, heap: Heap) -> None:
    watch = collector.watch()
    arrive(watch, heap, 0)
    arrive(watch, heap, 1)
    heap.now_ns += 30 * MS
    end(watch, heap, 0)
    look(collector)
    assert heap.collected == []
    heap.now_ns += 5000 * MS  # the stream's rhythm (two at once) says nothing any more
    end(watch, heap, 1)
    look(collector)
    assert heap.collected == [SMALL]


def test_another_sessions_request_in_flight_forbids_it(collector: IdleCollector, heap: Heap) -> None:
    mine, other = collector.watch(), collector.watch()
    arrive(other, heap, 0)
    arrive(mine, heap, 0)
    end(mine, heap, 0)
    look(collector)
    assert collector.room_ns(heap.now_ns) == 0
    assert heap.collected == []
    collector.forget(other)
    assert collector.room_ns(heap.now_ns) == float("inf")


def test_not_just_before_the_next_arrival_of_a_known_rhythm(collector: IdleCollector, heap: Heap) -> None:
    watch = collector.watch()
    for number in range(3):
        arrive(watch, heap, number)
        if number < 2:
            end(watch, heap, number)
            heap.now_ns += 50 * MS
    look(collector)
    before = len(heap.collected)
    heap.now_ns += 50 * MS - 1  # 1 ns before the next one
    end(watch, heap, 2)
    look(collector)
    assert collector.room_ns(heap.now_ns) == 1
    assert len(heap.collected) == before
    heap.now_ns -= 20 * MS
    collector.look()
    assert len(heap.collected) == before + 1


def test_a_declared_period_is_believed_from_the_first_request(collector: IdleCollector, heap: Heap) -> None:
    watch = collector.watch()
    stream = Stream("cam", 100 * MS, Criticality("mission"), 40 * MS, False, 1000 * MS)
    watch(0, r.StreamOpened(stream), NOTHING)
    arrive(watch, heap, 0, "cam")
    heap.now_ns = 15 * MS
    end(watch, heap, 0)
    assert collector.room_ns(heap.now_ns) == 25 * MS


def test_forced_after_so_many_requests_without_an_idle_moment(collector: IdleCollector, heap: Heap) -> None:
    watch = collector.watch()
    for number in range(20):
        arrive(watch, heap, number)
    look(collector)
    assert collector.done.forced == 1
    for number in range(20, 201):
        arrive(watch, heap, number)
        if number % 20 == 0:
            look(collector)
    assert heap.collected.count(FULL) == 1
    assert len(heap.collected) == 10
    assert collector.done.idle == 0


def test_nothing_is_collected_where_nothing_was_allocated(collector: IdleCollector, heap: Heap) -> None:
    heap.allocated = 0
    watch = collector.watch()
    for number in range(100):
        arrive(watch, heap, number)
        end(watch, heap, number)
    look(collector)
    assert heap.collected == []


def test_the_heap_is_given_back_as_it_was() -> None:
    class Node:
        me: "Node"

    before = (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())
    node = Node()
    node.me = node
    gone = weakref.ref(node)
    made = IdleCollector()
    made.start()
    try:
        del node
        gc.collect()
        assert gone() is not None  # set aside with the rest
    finally:
        made.close()
    gc.collect()
    assert gone() is None
    assert before == (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())


def test_a_heap_that_the_caller_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        made = IdleCollector()
        made.start()
        made.close()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_its_thread_ends_whenever_it_is_told_to() -> None:
    """Also while it waits for the caller's answer to be out, at any moment of that."""
    for number in range(12):
        made = IdleCollector(allocations=lambda: DUE_ALLOCATIONS, collect=lambda generation: 0)
        made.start()
        made.idle()
        time.sleep(number * 0.0003)
        made.close()
        assert not made._thread.is_alive(), number
