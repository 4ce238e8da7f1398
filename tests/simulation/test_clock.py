"""The virtual clock keeps order and never runs back."""

from random import Random

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


def test_what_is_lined_up_happens_where_it_would_have_happened_by_itself() -> None:
    random = Random(3)
    for _ in range(50):
        clocks = (Clock(), Clock())
        seen: tuple[list[int], list[int]] = ([], [])
        for number in range(40):
            moment, in_line = random.randrange(12), random.random() < 0.6
            clocks[0].at(moment, seen[0].append, number)
            (clocks[1].line_up if in_line else clocks[1].at)(moment, seen[1].append, number)
        for until in (3, 3, 7, 20):
            for clock in clocks:
                clock.run(until)
            assert seen[0] == seen[1]
            assert clocks[0].waiting == clocks[1].waiting
        assert len(seen[1]) == 40
