import pytest

from hedgerow.core.records import MS, SECOND
from hedgerow.simulation.body import Ended, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.cloud import Cloud, CloudSettings
from hedgerow.simulation.lanes import LaneTimes
from hedgerow.simulation.servers import QueueServer
from tests.simulation.profiles import profile, streams


def _server(settings: CloudSettings | None = None) -> tuple[QueueServer, dict[int, LaneTimes]]:
    times = {device: LaneTimes.of_cloud(profile(), streams(device)) for device in range(3)}
    return QueueServer.of_profile(Cloud(settings), profile(), times.__getitem__), times


def _work(device: int, request: int, clock: Clock, left_ms: int = 10_000) -> Work:
    return Work(device, request, 1, "big", -1, 2, "jpeg:75", clock.now_ns, clock.now_ns + left_ms * MS)


def test_a_crossing_takes_its_own_drawn_times_behind_those_before_it() -> None:
    server, times = _server()
    clock = Clock()
    told: list[tuple[int, int, Ended]] = []
    for at, device in ((0, 0), (MS, 1), (200 * MS, 2)):
        clock.at(
            at,
            lambda device=device: server.submit(
                _work(device, 7, clock), clock, lambda end: told.append((device, clock.now_ns, end))
            ),
        )
    clock.run(SECOND)
    works = [times[d].decode_ns(7, "big", -1, "jpeg:75") + sum(times[d].segments_ns(7, "big", 0, 2)) for d in range(3)]
    assert [(device, now) for device, now, _ in told] == [
        (0, works[0]),
        (1, works[0] + works[1]),
        (2, 200 * MS + works[2]),
    ]
    assert [end.queue_ns for _, _, end in told] == [0, works[0] - MS, 0]
    assert all(end.fault == "" and end.answer_bytes == 4000 for _, _, end in told)
    assert server.answered == 3


def test_refusals_and_crashes_are_told_in_the_wires_words() -> None:
    server, _ = _server()
    clock = Clock()
    faults: dict[int, tuple[int, str]] = {}

    def submit(request: int, left_ms: int) -> None:
        server.submit(
            _work(0, request, clock, left_ms),
            clock,
            lambda end: faults.update({request: (clock.now_ns // MS, end.fault)}),
        )

    clock.at(0, submit, 0, 10)  # 14.5 ms are expected
    clock.at(0, submit, 1, 100)
    clock.at(0, submit, 2, 20)  # not behind the one before
    clock.at(3 * MS, lambda: server.crash(clock, down_ns=SECOND))
    clock.at(500 * MS, lambda: faults.update({-1: (500, str(server.alive))}))
    clock.at(1100 * MS, submit, 3, 100)
    clock.run(2 * SECOND)
    assert faults[0] == (0, "too_late")
    assert faults[1] == (3, "link")
    assert faults[2] == (0, "overloaded")
    assert faults[-1] == (500, "False")
    assert faults[3][1] == ""
    assert server.alive
    assert server.refused == {"too_late": 1, "overloaded": 1, "link": 1}


def test_an_unknown_crossing_is_the_scenarios_fault() -> None:
    server, _ = _server()
    clock = Clock()
    work = Work(0, 0, 1, "big", -1, 2, "webp:10", 0, SECOND)
    with pytest.raises(Exception, match="no times of 'decode:@-1:webp:10'"):
        server.submit(work, clock, lambda end: None)
