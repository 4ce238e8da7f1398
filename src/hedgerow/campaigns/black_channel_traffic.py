"""Valid exchanges to attack: a few clients, each with streams, models, attempts, and frames that sometimes stand still."""

import random
from dataclasses import dataclass

from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import PREFIX_ENDS_MAX
from hedgerow.wire.messages import PREFIX_VERSION, PROTOCOL_VERSION
from hedgerow.wire.seal import sealed_ack, sealed_answer, sealed_opening

DUE_NS = 10**9
"""When every exchange's time is up; they begin at 0."""
EXCHANGES = 40
_STREAMS = ("front", "rear", "arm", "")
_MODELS = (("big", "chain-big"), ("small", "chain-small"))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as sent and what a right server says to it, both also as the bytes of their streams. `part_bytes`: how much of the
    payload crosses and is computed from, where the sender allows that; 0: all of it."""

    opening: pb.Open
    payload: bytes
    ups: tuple[bytes, ...]
    acks: tuple[pb.Ack, ...]
    answer: pb.Answer
    downs: tuple[bytes, ...]
    part_bytes: int = 0

    @property
    def crossed(self) -> bytes:
        """What is computed from."""
        return self.payload[: self.part_bytes] if self.part_bytes else self.payload


class Traffic:
    """Exchanges in the order in which they were sent; drawn from `chance` alone."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.exchanges: list[Exchange] = []
        sessions = [chance.randbytes(8) for _ in range(3)]
        numbers = dict.fromkeys(sessions, 0)
        for _ in range(EXCHANGES):
            session = chance.choice(sessions)
            numbers[session] += 1
            self.exchanges.append(self._exchange(session, numbers[session]))

    def any(self) -> Exchange:
        """One of them."""
        return self._chance.choice(self.exchanges)

    def two(self) -> tuple[Exchange, Exchange]:
        """Two different ones, the older first."""
        one, other = sorted(self._chance.sample(range(EXCHANGES), 2))
        return self.exchanges[one], self.exchanges[other]

    def _exchange(self, session: bytes, sequence: int) -> Exchange:
        """A new frame; or one that looks like an earlier one; or an earlier one tried again."""
        chance = self._chance
        opening, payload = self._opening(), chance.randbytes(chance.randint(1, 1500))
        if self.exchanges and chance.random() < 0.3:
            before = self.any()
            payload = before.payload
            if chance.random() < 0.5:
                opening.CopyFrom(before.opening)
                opening.attempt += 1
        opening.session, opening.sequence, opening.payload_bytes = session, sequence, len(payload)
        ends = sorted(
            {chance.randint(1, len(payload)) for _ in range(chance.randint(0, PREFIX_ENDS_MAX))} - {len(payload)}
        )
        opening.prefix_ends[:] = ends if chance.random() < 0.4 else []
        opening.version = PREFIX_VERSION if opening.prefix_ends else PROTOCOL_VERSION
        opening.prefix_after_ns = chance.randint(0, DUE_NS) if opening.prefix_ends else 0
        return exchange_of(sealed_opening(opening, payload), payload, chance)

    def _opening(self) -> pb.Open:
        chance = self._chance
        model, chain = chance.choice(_MODELS)
        joint = chance.randint(-1, 2)
        return pb.Open(
            version=PROTOCOL_VERSION,
            task_id="task",
            model=model,
            chain_id=chain,
            joint=joint,
            last=joint + chance.randint(1, 3),
            codec=chance.choice(("raw", "q4", "jpeg")),
            calibration_id=chance.choice(("", "0123456789abcdef")),
            sample_id=chance.randbytes(16),
            remaining_ns=chance.randint(1, DUE_NS),
            attempt=chance.randint(0, 2),
            stream=chance.choice(_STREAMS),
        )


def exchange_of(opening: pb.Open, payload: bytes, chance: random.Random) -> Exchange:
    """The whole exchange of a sealed opening: its payload in chunks, acknowledgements, and one answer."""
    part = chance.choice(opening.prefix_ends) if opening.prefix_ends and chance.random() < 0.7 else 0
    crossing = part or len(payload)
    cuts = {*(chance.randint(1, crossing) for _ in range(chance.randint(0, 3))), *opening.prefix_ends, crossing}
    ends = sorted(end for end in cuts if end <= crossing)
    ups, begin = [], 0
    for end in ends:
        chunk = pb.Chunk(offset=begin, data=payload[begin:end])
        ups.append(pb.Up(open=opening if begin == 0 else None, chunk=chunk).SerializeToString())
        begin = end
    acks = tuple(sealed_ack(opening, end) for end in ends)
    times = [chance.randint(1, 10**7) for _ in range(opening.last - opening.joint)]
    unsealed = pb.Answer(
        last=opening.last,
        payload=chance.randbytes(chance.randint(1, 400)),
        queue_ns=chance.randint(0, 10**6),
        decode_ns=chance.randint(0, 10**6),
        compute_ns=sum(times),
        segment_ns=times,
        batch=1,
        prefix_bytes=part,
    )
    answer = sealed_answer(opening, unsealed)
    downs = (*(pb.Down(ack=ack) for ack in acks), pb.Down(answer=answer))
    said = tuple(down.SerializeToString() for down in downs)
    return Exchange(opening, payload, tuple(ups), acks, answer, said, part)
