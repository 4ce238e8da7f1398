"""The eight errors of a black channel (IEC 61784-3), each as the ways in which it can happen to a crossing.

An attack takes valid traffic and chance, and gives what one side receives instead of the truth. Names and seals of other
true messages are used and mended at will; only a seal is never computed anew, which no error of a channel does (an attacker
could: see hedgerow.wire.seal).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from hedgerow.campaigns.black_channel_traffic import DUE_NS, Exchange, Traffic
from hedgerow.wire.generated import crossing_pb2 as pb


@dataclass(frozen=True, slots=True)
class Trial:
    """What one side of `exchange` receives: the server (`upward`) or the client, at `now_ns`. `taken_before`: the server has
    had this very request already. `other`: whose messages are among them, where the server may take them for what they are."""

    exchange: Exchange
    messages: Sequence[bytes]
    upward: bool
    now_ns: int = 0
    taken_before: bool = False
    other: Exchange | None = None

    @property
    def differs(self) -> bool:
        """Whether anything is not as it should be."""
        truth = self.exchange.ups if self.upward else self.exchange.downs
        return self.taken_before or self.now_ns > DUE_NS or tuple(self.messages) != truth


Attack = Callable[[Traffic, random.Random], Trial]


def _down(exchange: Exchange, *parts: pb.Ack | pb.Answer, now_ns: int = 0) -> Trial:
    """The client of `exchange` receives these."""
    downs = (pb.Down(ack=part) if isinstance(part, pb.Ack) else pb.Down(answer=part) for part in parts)
    return Trial(exchange, [down.SerializeToString() for down in downs], upward=False, now_ns=now_ns)


def _copy(answer: pb.Answer) -> pb.Answer:
    copy = pb.Answer()
    copy.CopyFrom(answer)
    return copy


def _with_opening(exchange: Exchange, opening: pb.Open) -> Trial:
    """The server receives this opening before the true chunks."""
    first = pb.Up.FromString(exchange.ups[0])
    first.open.CopyFrom(opening)
    return Trial(exchange, [first.SerializeToString(), *exchange.ups[1:]], upward=True)


def _either(traffic: Traffic, chance: random.Random, change: Callable[[list[bytes]], object]) -> Trial:
    """`change` is done in place to the messages of one direction."""
    exchange, upward = traffic.any(), chance.random() < 0.5
    messages = list(exchange.ups if upward else exchange.downs)
    change(messages)
    return Trial(exchange, messages, upward)


def _changed_value(message: Message, field: Any, chance: random.Random) -> Any:
    """Another value for a field that is not repeated."""
    value = getattr(message, field.name)
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return chance.choice((value + "x", value[1:], "", value.swapcase()))
        case FieldDescriptor.TYPE_BYTES:
            return chance.choice((chance.randbytes(len(value)), value[:-1], b"", value[::-1]))
        case FieldDescriptor.TYPE_BOOL:
            return not value
        case _:
            return abs(value + chance.choice((-2, -1, 1, 2, 256, 2**20)))


def _change_a_field(message: Message, chance: random.Random) -> None:
    field: Any = chance.choice(list(message.DESCRIPTOR.fields))
    if field.is_repeated:
        is_bytes = field.type == FieldDescriptor.TYPE_BYTES
        getattr(message, field.name).append(chance.randbytes(16) if is_bytes else chance.randint(0, 9))
    else:
        setattr(message, field.name, _changed_value(message, field, chance))


# --------------------------------------------------------------------------------------------------------- corruption


def bits_flipped(traffic: Traffic, chance: random.Random) -> Trial:
    def change(messages: list[bytes]) -> None:
        at = chance.randrange(len(messages))
        damaged = bytearray(messages[at])
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        messages[at] = bytes(damaged)

    return _either(traffic, chance, change)


def bytes_overwritten(traffic: Traffic, chance: random.Random) -> Trial:
    def change(messages: list[bytes]) -> None:
        at = chance.randrange(len(messages))
        damaged = bytearray(messages[at])
        begin = chance.randrange(len(damaged))
        burst = chance.choice((bytes(8), b"\xff" * 8, chance.randbytes(chance.randint(1, 64))))
        damaged[begin : begin + len(burst)] = burst[: len(damaged) - begin]
        messages[at] = bytes(damaged)

    return _either(traffic, chance, change)


def cut_short(traffic: Traffic, chance: random.Random) -> Trial:
    def change(messages: list[bytes]) -> None:
        at = chance.randrange(len(messages))
        messages[at] = messages[at][: chance.randrange(len(messages[at]))]

    return _either(traffic, chance, change)


def answer_field_changed(traffic: Traffic, chance: random.Random) -> Trial:
    exchange = traffic.any()
    answer = _copy(exchange.answer)
    _change_a_field(answer, chance)
    return _down(exchange, *exchange.acks, answer)


def opening_field_changed(traffic: Traffic, chance: random.Random) -> Trial:
    exchange, opening = traffic.any(), pb.Open()
    opening.CopyFrom(exchange.opening)
    _change_a_field(opening, chance)
    return _with_opening(exchange, opening)


# --------------------------------------------------------------------------------------------------------- repetition


def request_again(traffic: Traffic, chance: random.Random) -> Trial:
    exchange = traffic.any()
    return Trial(exchange, exchange.ups, upward=True, taken_before=True)


def message_again(traffic: Traffic, chance: random.Random) -> Trial:
    def change(messages: list[bytes]) -> None:
        at = chance.randrange(len(messages))
        messages.insert(chance.randint(at + 1, len(messages)), messages[at])

    return _either(traffic, chance, change)


def older_answer_again(traffic: Traffic, chance: random.Random) -> Trial:
    older, newer = traffic.two()
    return _down(newer, *newer.acks, older.answer)


# -------------------------------------------------------------------------------------------------------------- order


def messages_reordered(traffic: Traffic, chance: random.Random) -> Trial:
    return _either(traffic, chance, chance.shuffle)


def answers_swapped(traffic: Traffic, chance: random.Random) -> Trial:
    one, other = traffic.two()
    return _down(one, *one.acks, other.answer)


def data_reordered(traffic: Traffic, chance: random.Random) -> Trial:
    """The chunks' data in another order below offsets that rise."""
    exchange = traffic.any()
    ups = [pb.Up.FromString(up) for up in exchange.ups]
    data = [up.chunk.data for up in ups]
    chance.shuffle(data)
    offset = 0
    for up, piece in zip(ups, data, strict=True):
        up.chunk.offset, up.chunk.data = offset, piece
        offset += len(piece)
    return Trial(exchange, [up.SerializeToString() for up in ups], upward=True)


# --------------------------------------------------------------------------------------------------------------- loss


def message_lost(traffic: Traffic, chance: random.Random) -> Trial:
    return _either(traffic, chance, lambda messages: messages.pop(chance.randrange(len(messages))))


def rest_lost(traffic: Traffic, chance: random.Random) -> Trial:
    def change(messages: list[bytes]) -> None:
        del messages[chance.randrange(len(messages)) :]

    return _either(traffic, chance, change)


# -------------------------------------------------------------------------------------------------------------- delay


def too_late(traffic: Traffic, chance: random.Random) -> Trial:
    exchange = traffic.any()
    return _down(exchange, *exchange.acks, exchange.answer, now_ns=DUE_NS + chance.randint(1, 10**10))


def older_answer_late(traffic: Traffic, chance: random.Random) -> Trial:
    """What comes while the newer is waited for is the older one's, acknowledgements and all."""
    older, newer = traffic.two()
    return _down(newer, *older.acks, older.answer, *newer.acks, newer.answer)


# ---------------------------------------------------------------------------------------------------------- insertion


def answer_nobody_asked_for(traffic: Traffic, chance: random.Random) -> Trial:
    exchange = traffic.any()
    made = pb.Answer(last=exchange.opening.last, payload=chance.randbytes(50), seal=chance.randbytes(16), batch=1)
    if chance.random() < 0.5:
        made.MergeFrom(pb.Answer(sample_id=chance.randbytes(16), session=chance.randbytes(8), sequence=1, model="big"))
    return _down(exchange, made, *exchange.acks, exchange.answer)


def foreign_message_inserted(traffic: Traffic, chance: random.Random) -> Trial:
    exchange, other = traffic.two()
    upward = chance.random() < 0.5
    truth, foreign = (exchange.ups, other.ups) if upward else (exchange.downs, other.downs)
    messages = list(truth)
    messages.insert(chance.randrange(len(messages)), chance.choice(foreign))
    return Trial(exchange, messages, upward, other=other)


def nonsense_inserted(traffic: Traffic, chance: random.Random) -> Trial:
    def change(messages: list[bytes]) -> None:
        messages.insert(chance.randrange(len(messages)), chance.randbytes(chance.choice((0, 1, 2, 20))))

    return _either(traffic, chance, change)


# --------------------------------------------------------------------------------------------------------- masquerade


def mended_names(traffic: Traffic, chance: random.Random) -> Trial:
    """Another frame's answer with every name of this one's, under its own seal or this one's."""
    exchange, other = traffic.two()
    forged = _copy(other.answer)
    for name in ("sample_id", "session", "stream", "attempt", "sequence", "model", "last"):
        setattr(forged, name, getattr(exchange.answer, name))
    if chance.random() < 0.5:
        forged.seal = exchange.answer.seal
    return _down(exchange, *exchange.acks, forged)


def mended_numbers(traffic: Traffic, chance: random.Random) -> Trial:
    exchange, other = traffic.two()
    forged = _copy(other.answer)
    forged.sequence, forged.attempt = exchange.answer.sequence, exchange.answer.attempt
    return _down(exchange, *exchange.acks, forged)


def payload_swapped(traffic: Traffic, chance: random.Random) -> Trial:
    """This frame's names and seal around another's outputs."""
    exchange, other = traffic.two()
    forged = _copy(exchange.answer)
    forged.payload = other.answer.payload
    return _down(exchange, *exchange.acks, forged)


def question_swapped(traffic: Traffic, chance: random.Random) -> Trial:
    """This request's opening over another frame; where it can, of equal length, with the other's content digest."""
    exchange, other = traffic.two()
    opening = pb.Open()
    opening.CopyFrom(exchange.opening)
    if chance.random() < 0.5:
        opening.content, opening.payload_bytes = other.opening.content, other.opening.payload_bytes
    data = (other.payload * len(exchange.payload))[: opening.payload_bytes]
    up = pb.Up(open=opening, chunk=pb.Chunk(data=data))
    return Trial(exchange, [up.SerializeToString()], upward=True)


def part_renamed(traffic: Traffic, chance: random.Random) -> Trial:
    """An answer to one part of a payload as one to another part, or to all of it; or the whole's as a part's."""
    exchange = _cut(traffic)
    forged = _copy(exchange.answer)
    others = {0, *exchange.opening.prefix_ends, chance.randint(1, 1500)} - {forged.prefix_bytes}
    forged.prefix_bytes = chance.choice(sorted(others))
    return _down(exchange, *exchange.acks, forged)


def parts_swapped(traffic: Traffic, chance: random.Random) -> Trial:
    """The places to cut at, or the digests up to them, of another request."""
    exchange, other, opening = _cut(traffic), traffic.any(), pb.Open()
    opening.CopyFrom(exchange.opening)
    if chance.random() < 0.5:
        opening.prefix_ends[:] = other.opening.prefix_ends
    opening.prefix_contents[:] = other.opening.prefix_contents
    return _with_opening(exchange, opening)


def part_of_another(traffic: Traffic, chance: random.Random) -> Trial:
    """Of a payload that may be cut, the first part is another frame's."""
    exchange, other = _cut(traffic), traffic.any()
    data = (other.payload * len(exchange.crossed))[: len(exchange.crossed)]
    up = pb.Up(open=exchange.opening, chunk=pb.Chunk(data=data))
    return Trial(exchange, [up.SerializeToString()], upward=True)


def _cut(traffic: Traffic) -> Exchange:
    """An exchange whose payload may be cut; any, where none may."""
    return next((each for each in (traffic.any() for _ in range(20)) if each.opening.prefix_ends), traffic.any())


def unsealed(traffic: Traffic, chance: random.Random) -> Trial:
    """As a version before the seals would have said it."""
    exchange = traffic.any()
    bare = pb.Answer(sample_id=exchange.opening.sample_id, last=exchange.opening.last, payload=exchange.answer.payload)
    return _down(exchange, *exchange.acks, bare)


# -------------------------------------------------------------------------------------------------------- wrong address


def answer_to_a_neighbour(traffic: Traffic, chance: random.Random) -> Trial:
    """The whole downward stream of another client, stream or model."""
    exchange, other = traffic.two()
    return Trial(exchange, other.downs, upward=False)


def answer_readdressed(traffic: Traffic, chance: random.Random) -> Trial:
    exchange, other = traffic.two()
    forged = _copy(exchange.answer)
    name = chance.choice(("session", "stream", "model", "sample_id", "last"))
    setattr(forged, name, getattr(other.answer, name))
    return _down(exchange, *exchange.acks, forged)


def request_readdressed(traffic: Traffic, chance: random.Random) -> Trial:
    exchange, other = traffic.two()
    opening = pb.Open()
    opening.CopyFrom(exchange.opening)
    name = chance.choice(("session", "stream", "model", "chain_id", "joint", "last", "codec", "calibration_id"))
    setattr(opening, name, getattr(other.opening, name))
    return _with_opening(exchange, opening)


ERRORS: dict[str, tuple[Attack, ...]] = {
    "corruption": (bits_flipped, bytes_overwritten, cut_short, answer_field_changed, opening_field_changed),
    "repetition": (request_again, message_again, older_answer_again),
    "order": (messages_reordered, answers_swapped, data_reordered),
    "loss": (message_lost, rest_lost),
    "delay": (too_late, older_answer_late),
    "insertion": (answer_nobody_asked_for, foreign_message_inserted, nonsense_inserted),
    "masquerade": (
        *(mended_names, mended_numbers, payload_swapped, question_swapped, unsealed),
        *(part_renamed, parts_swapped, part_of_another),
    ),
    "wrong_address": (answer_to_a_neighbour, answer_readdressed, request_readdressed),
}

WRONG_FRAME: dict[str, tuple[Attack, ...]] = {
    "wrong_frame": (
        older_answer_again,
        answers_swapped,
        older_answer_late,
        mended_names,
        mended_numbers,
        payload_swapped,
        answer_to_a_neighbour,
    )
}
"""Of all these the worst: a true answer, to another frame."""
