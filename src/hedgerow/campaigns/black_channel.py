"""Attacks the safety layer with every error of a black channel (IEC 61784-3), a million times if wanted.

Valid requests and answers of several clients, streams, models and attempts are made; each trial does one thing to what one
side would receive and hands it to the very readers that the server and the client use (`hedgerow.wire.readers`). Accepted
is judged by equality with what was truly sent: an answer that differs from the one to this very request in any field, a
request that differs in any field or byte or is taken twice, a foreign acknowledgement, count as `wrong_accepted`. What was
harmless (accepted, and yet the truth) is counted apart, and between the attacks the truth itself must be taken.

    python -m hedgerow.campaigns.black_channel 1000000 --seed 1
    python -m hedgerow.campaigns.black_channel 1000000 --seed 1 --wrong-frame
"""

import argparse
import json
import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from hedgerow.campaigns.black_channel_errors import ERRORS, WRONG_FRAME, Attack, Trial
from hedgerow.campaigns.black_channel_traffic import DUE_NS, Exchange, Traffic
from hedgerow.wire.faults import FaultError
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import MIB
from hedgerow.wire.readers import AnswerReader, RequestReader, stream_ended
from hedgerow.wire.seal import Windows

TRIALS_PER_TRAFFIC = 4000
GENUINE_EVERY = 50
RIGHT, WRONG, UNNAMED = "right", "wrong", "unnamed"
"""How a trial may end beside the measure that detected it: the truth was taken, something else was, no measure was named."""


@dataclass(slots=True)
class Tally:
    """Counts of one attack. `by_error`: for each error of the channel, what detected it how often (or `right`: it did no
    harm). `genuine`: true exchanges between the attacks; `genuine_refused` of them were not taken."""

    tried: int = 0
    wrong_accepted: int = 0
    harmless: int = 0
    genuine: int = 0
    genuine_refused: int = 0
    by_measure: dict[str, int] = field(default_factory=dict)
    by_error: dict[str, dict[str, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """The first few that were wrongly accepted: error, attack and the seed that repeats the whole run."""


def attack(count: int, *, seed: int = 0, among: dict[str, tuple[Attack, ...]] = ERRORS) -> Tally:
    """Try `count` attacks, each error of `among` equally often. Equal seeds give equal tallies."""
    chance, tally = random.Random(seed), Tally()
    ended: dict[str, Counter[str]] = {error: Counter() for error in among}
    errors, traffic = list(among.items()), Traffic(chance)
    while tally.tried < count:
        if tally.tried % TRIALS_PER_TRAFFIC == 0:
            traffic = Traffic(chance)
        error, attacks = errors[tally.tried % len(errors)]
        once = chance.choice(attacks)
        trial = _changed(once, traffic, chance)
        how = judge(trial)
        ended[error][how] += 1
        if how == WRONG and len(tally.wrong) < 10:
            tally.wrong.append(f"{error}: {once.__name__} (trial {tally.tried} of seed {seed})")
        tally.tried += 1
        if tally.tried % GENUINE_EVERY == 0:
            _try_genuine(traffic.any(), tally)
    _sum_up(tally, ended)
    return tally


def _changed(once: Attack, traffic: Traffic, chance: random.Random) -> Trial:
    """A trial in which something differs from the truth; chance sometimes changes nothing."""
    while True:
        trial = once(traffic, chance)
        if trial.differs:
            return trial


def _try_genuine(exchange: Exchange, tally: Tally) -> None:
    both = (judge(Trial(exchange, exchange.ups, upward=True)), judge(Trial(exchange, exchange.downs, upward=False)))
    tally.genuine += 2
    tally.genuine_refused += 2 - both.count(RIGHT)


def _sum_up(tally: Tally, ended: dict[str, Counter[str]]) -> None:
    total = sum(ended.values(), Counter[str]())
    tally.harmless, tally.wrong_accepted = total.pop(RIGHT, 0), total.pop(WRONG, 0)
    tally.by_measure = dict(sorted(total.items()))
    tally.by_error = {error: dict(sorted(counts.items())) for error, counts in ended.items()}


def judge(trial: Trial) -> str:
    """RIGHT, WRONG, UNNAMED or the measure that detected what was done."""
    try:
        right = _read_upward(trial) if trial.upward else _read_downward(trial)
    except FaultError as error:
        return UNNAMED if error.fault.measure is None else error.fault.measure.value
    return RIGHT if right else WRONG


def _read_upward(trial: Trial) -> bool:
    """As the server reads; True if what it would compute from is what was sent, and was not taken before."""
    windows = Windows(8)
    if trial.taken_before:
        windows.take(trial.exchange.opening.session, trial.exchange.opening.sequence)
    if not trial.messages:
        raise stream_ended("before it began")
    first, *rest = trial.messages
    reader = RequestReader(first, windows, payload_bytes_max=MIB)
    reader.first_chunk()
    cut = trial.exchange.part_bytes  # when its time to wait is over
    for message in rest:
        if reader.complete or (cut and reader.part_bytes >= cut):
            break
        reader.take(message)
    if not reader.complete and not (cut and reader.part_bytes):
        raise stream_ended("in the middle of a payload")
    payload = _checked(reader)
    truths = [each.payload[: len(payload)] for each in (trial.exchange, trial.other) if each is not None]
    if trial.other is not None and (reader.opening, payload) == (trial.other.opening, truths[-1]):
        # a whole true request on the wrong stream is computed as what it is: its answer must not pass for this one's
        return _read_downward(Trial(trial.exchange, trial.other.downs, upward=False))
    return (reader.opening, payload) == (trial.exchange.opening, truths[0]) and not trial.taken_before


def _checked(reader: RequestReader) -> bytes:
    """What the server computes from: all of the payload, or the part of it that is there."""
    if not reader.complete:
        return reader.checked_part(reader.part_bytes)
    reader.check_content()
    with reader.assembly.view() as view:
        return bytes(view)


def _read_downward(trial: Trial) -> bool:
    """As the client reads; True if what it would believe is what the server said about this very request."""
    exchange = trial.exchange
    reader = AnswerReader(exchange.opening, due_ns=DUE_NS)
    sent_bytes = len(exchange.crossed)
    for message in (*trial.messages, None):  # None: the stream's end
        taken = reader.take(message, sent_bytes=sent_bytes, now_ns=trial.now_ns)
        if isinstance(taken, pb.Answer):
            return taken == exchange.answer and trial.now_ns <= DUE_NS
        if taken not in exchange.acks:
            return False
    raise AssertionError("the reader took the end of the stream for a message")


def main(arguments: list[str] | None = None) -> int:
    """Print the tally as JSON; 1 if anything wrong was accepted or anything true refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong-frame", action="store_true", help="only true answers to other frames")
    options = parser.parse_args(arguments)
    tally = attack(options.count, seed=options.seed, among=WRONG_FRAME if options.wrong_frame else ERRORS)
    told: dict[str, Any] = asdict(tally)
    print(json.dumps(told, indent=2))
    return int(bool(tally.wrong_accepted or tally.genuine_refused))


if __name__ == "__main__":
    raise SystemExit(main())
