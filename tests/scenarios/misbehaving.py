"""A server that computes rightly and then misbehaves on purpose, on real sockets, at every second crossing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hedgerow.cloud import server as servers
from hedgerow.cloud.crossing import CrossingService, Stream
from hedgerow.wire.generated import crossing_pb2 as pb
from tests.wire.serving import LocalServer, local_server


@dataclass
class Crime:
    """What is done to the messages of a crossing. `to_answer` gives what is sent instead, from a true answer to an earlier
    frame and the true one to this."""

    to_answer: Callable[[pb.Answer, pb.Answer], list[pb.Answer]] | None = None
    to_ack: Callable[[pb.Ack], list[pb.Ack]] | None = None
    to_up: Callable[[pb.Up], pb.Up] | None = None
    at_once: Callable[[], pb.Answer] | None = None
    hold_s: float = 0.0
    swap: bool = False
    committed: int = 0
    crossings: int = 0
    earlier: pb.Answer | None = None
    _waiting: "asyncio.Future[pb.Answer] | None" = field(default=None, repr=False)
    _held: pb.Answer | None = field(default=None, repr=False)

    async def swapped(self, answer: pb.Answer) -> pb.Answer:
        """The answer of the next stream that has one, which gets this one; its own if none comes."""
        if self._waiting is not None and self._held is not None and not self._waiting.done():
            other, waiting = self._held, self._waiting
            self._waiting = self._held = None
            waiting.set_result(answer)
            return other
        self._waiting, self._held = asyncio.get_running_loop().create_future(), answer
        try:
            async with asyncio.timeout(0.2):
                return await self._waiting
        except TimeoutError:
            self._waiting = self._held = None
            return answer


class Meddler:
    """Stands between the server's half of a crossing and its stream."""

    def __init__(self, stream: Stream, crime: Crime) -> None:
        self._stream, self._crime = stream, crime
        self._begun = False
        self._guilty = False

    async def read(self) -> object:
        data = await self._stream.read()
        if not isinstance(data, bytes):
            return data
        up = pb.Up.FromString(data)
        if not self._begun:
            self._begun = True
            if not up.open.probe:
                self._crime.crossings += 1
                self._guilty = self._crime.crossings % 2 == 0
            if self._guilty and self._crime.at_once is not None:
                self._crime.committed += 1
                await self._stream.write(pb.Down(answer=self._crime.at_once()).SerializeToString())
        if self._guilty and self._crime.to_up is not None:
            self._crime.committed += 1
            return self._crime.to_up(up).SerializeToString()
        return data

    async def write(self, message: bytes) -> None:
        down, crime = pb.Down.FromString(message), self._crime
        if self._guilty and down.HasField("ack") and crime.to_ack is not None:
            crime.committed += 1
            for ack in crime.to_ack(down.ack):
                await self._stream.write(pb.Down(ack=ack).SerializeToString())
        elif down.HasField("answer"):
            for answer in await self._answers(down.answer):
                await self._stream.write(pb.Down(answer=answer).SerializeToString())
        else:
            await self._stream.write(message)

    async def _answers(self, answer: pb.Answer) -> list[pb.Answer]:
        crime = self._crime
        if crime.swap:
            other = await crime.swapped(answer)
            crime.committed += other.sequence != answer.sequence
            return [other]
        earlier, crime.earlier = crime.earlier, answer
        if not self._guilty or earlier is None:
            return [answer]
        if crime.hold_s:
            crime.committed += 1
            await asyncio.sleep(crime.hold_s)
        if crime.to_answer is None:
            return [answer]
        crime.committed += 1
        one, other = pb.Answer(), pb.Answer()
        one.CopyFrom(earlier)
        other.CopyFrom(answer)
        return crime.to_answer(one, other)


@contextmanager
def misbehaving(crime: Crime, task_file: Path) -> Iterator[LocalServer]:
    """A server in this process that commits `crime`."""

    class Service(CrossingService):
        async def _cross(self, context: object, stream: Any) -> None:
            await super()._cross(context, Meddler(stream, crime))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "CrossingService", Service)
        with local_server(task_file) as server:
            yield server
