"""A modelled cloud behind the link of one device or of many: makes work of a crossing and hands back what became of it.

Rules: decode and segment times are those of the request, drawn with the cloud's own names (`LaneTimes.of_cloud`), for each device
apart; the server expects the medians of the arm table, as the real one expects those that it measured; every work is
told of exactly once, at the virtual moment at which the answer leaves.
"""

from collections.abc import Callable, Mapping
from typing import Self

from hedgerow.planning.arms import cloud_segments_ns
from hedgerow.profiling.profile import Profile
from hedgerow.simulation.body import Ended, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.cloud import OVERLOADED, TOO_LATE, Cloud, CloudAnswer, CloudRequest, stop_ns
from hedgerow.simulation.lanes import LaneTimes

Done = Callable[[Ended], None]


class QueueServer:
    """`times(device)` gives the cloud's drawn times for that device's requests (the same object each time it is asked).

    `expected_ns[model]`: median time of each segment there; `answer_bytes[model]`: what an answer weighs.
    """

    def __init__(
        self,
        cloud: Cloud,
        times: Callable[[int], LaneTimes],
        expected_ns: Mapping[str, tuple[int, ...]],
        answer_bytes: Mapping[str, int],
    ) -> None:
        self.cloud = cloud
        self._times, self._expected_ns, self._answer_bytes = times, expected_ns, answer_bytes
        self._open: dict[object, tuple[Done, str]] = {}
        self._planned_ns: int | None = None
        self._down_until_ns = -1
        self._now_ns = 0
        self.refused: dict[str, int] = {}
        self.answered = 0
        self.lengthen: Callable[[tuple[int, ...], int], tuple[int, ...]] | None = None  # what a fault adds

    @classmethod
    def of_profile(
        cls, cloud: Cloud, profile: Profile, times: Callable[[int], LaneTimes], *, cloud_factor: float = 1.0
    ) -> Self:
        """A server of the profile's models, its times multiplied by `cloud_factor`."""
        expected = {
            model.name: tuple(round(each * cloud_factor) for each in cloud_segments_ns(profile, model))
            for model in profile.models
        }
        return cls(cloud, times, expected, {model.name: model.answer_bytes for model in profile.models})

    @property
    def alive(self) -> bool:
        """Whether it takes connections, as of the last moment that it was told of."""
        return self._now_ns >= self._down_until_ns

    @property
    def is_plain(self) -> bool:
        """Whether one work that finds it idle meets nothing but a free lane: no start of a replica, no wait for a batch."""
        settings = self.cloud.settings
        return settings.replicas > 0 and not settings.is_cold and settings.batch_max == 1

    def alone(self, work: Work) -> tuple[int, Ended]:
        """(when, how) a plain server that is idle ends a work; as `submit` to a fresh one would, without the clock."""
        times, now = self._times(work.device), work.arrival_ns
        first, settings = work.joint + 1, self.cloud.settings
        left = work.deadline_ns - now
        if settings.checks_time and (left <= 0 or sum(self._expected_ns[work.model][first : work.last + 1]) > left):
            return now, Ended(TOO_LATE)
        if settings.queue_length_max == 0:
            return now, Ended(OVERLOADED)
        if left <= 0:
            return now, Ended(TOO_LATE)
        decode = times.decode_ns(work.request, work.model, work.joint, work.codec)
        segments = times.segments_ns(work.request, work.model, first, work.last)
        compute = sum(segments)
        done = now + decode + compute
        if len(segments) > 1 and done - segments[-1] >= work.deadline_ns:
            return stop_ns(now + decode, segments, work.deadline_ns), Ended(TOO_LATE)
        return done, Ended("", 0, decode, compute, self._answer_bytes[work.model])

    def submit(self, work: Work, clock: Clock, done: Done) -> None:
        """Take a crossing that is here whole; `done` is called once, in the clock's time."""
        self._now_ns = clock.now_ns
        times = self._times(work.device)
        expected = self._expected_ns[work.model][work.joint + 1 : work.last + 1]
        segments = times.segments_ns(work.request, work.model, work.joint + 1, work.last)
        if self.lengthen is not None:
            segments = self.lengthen(segments, clock.now_ns)
        key = (work.device, work.request, work.attempt)
        request = CloudRequest(
            key,
            work.deadline_ns,
            times.decode_ns(work.request, work.model, work.joint, work.codec),
            segments,
            sum(expected),
            f"{work.model}@{work.joint + 1}",
        )
        self._open[key] = (done, work.model)
        self._tell(self.cloud.submit(request, now_ns=clock.now_ns), clock)

    def crash(self, clock: Clock, *, down_ns: int) -> None:
        """Lose what is inside, and take no connection for `down_ns`; to be planned on the clock."""
        self._now_ns = clock.now_ns
        self._down_until_ns = clock.now_ns + down_ns
        clock.at(self._down_until_ns, self._wake, clock)
        self._tell(self.cloud.crash(clock.now_ns, down_ns=down_ns), clock)

    def _wake(self, clock: Clock) -> None:
        self._now_ns = clock.now_ns
        if self._planned_ns is not None and self._planned_ns <= clock.now_ns:
            self._planned_ns = None
        self._tell(self.cloud.advance(clock.now_ns), clock)

    def _tell(self, answers: list[CloudAnswer], clock: Clock) -> None:
        for each in answers:
            done, model = self._open.pop(each.key)
            if each.fault:
                self.refused[each.fault] = self.refused.get(each.fault, 0) + 1
                done(Ended(each.fault, each.queue_ns))
            else:
                self.answered += 1
                done(Ended("", each.queue_ns, each.decode_ns, each.compute_ns, self._answer_bytes[model]))
        due = self.cloud.next_ns()
        if due is not None and (self._planned_ns is None or due < self._planned_ns):
            self._planned_ns = due
            clock.at(due, self._wake, clock)
