"""The virtual clock keeps order and never runs back."""

from hedgerow.simulation.clock import Clock


def test_what_is_planned_happens_in_order_and_equals_in_the_order_of_planning() -> None:
    clock, seen = Clock(), []
    for moment, name in ((5, "b"), (3, "a"), (5, "c")):
        clock.at(moment, lambda name=name: seen.append((clock.now_ns, name)))
    clock.run(4)
    assert seen == [(3, "a")]
    assert clock.waiting == 2
    clock.run(10)
    assert seen == [(3, "a"), (5, "b"), (5, "c")]
    assert clock.events == 3


def test_a_moment_that_is_over_happens_now() -> None:
    clock, seen = Clock(), []
    clock.at(7, lambda: clock.at(2, lambda: seen.append(clock.now_ns)))
    clock.run(10)
    assert seen == [7]
