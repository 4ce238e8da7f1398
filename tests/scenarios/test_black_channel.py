"""A server that gives right answers to the wrong frames, and worse: no answer that is delivered is another frame's, and each
misbehaviour is detected by its named measure while the reserve answers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hedgerow import codecs
from hedgerow.core import records as r
from hedgerow.core.records import Source
from hedgerow.device.network import CloudNetwork
from hedgerow.device.session import Session
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from hedgerow.wire import Measure, readers
from hedgerow.wire.generated import crossing_pb2 as pb
from tests.device.small import WIDTH
from tests.scenarios.faults import Traffic
from tests.scenarios.misbehaving import Crime, misbehaving
from tests.wire.serving import until

DEADLINE_MS = 400
SEEN = 3


def _earlier(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    return [earlier]


def _earlier_mended(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    """Valid outputs of an earlier frame under every name, and the seal, of this one."""
    answer.payload = earlier.payload
    return [answer]


def _earlier_renumbered(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    earlier.sequence, earlier.attempt, earlier.sample_id = answer.sequence, answer.attempt, answer.sample_id
    return [earlier]


def _bit_flipped(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    damaged = bytearray(answer.payload)
    damaged[len(damaged) // 2] ^= 0x10
    answer.payload = bytes(damaged)
    return [answer]


def _another_model(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    answer.model = "big"
    return [answer]


def _another_stream(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    answer.stream = "rear"
    return [answer]


def _another_session(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    answer.session = bytes(8)
    return [answer]


def _nothing(earlier: pb.Answer, answer: pb.Answer) -> list[pb.Answer]:
    return []


def _made_up() -> pb.Answer:
    payload = codecs.get("raw").encode({"y": np.zeros((1, WIDTH), np.float32)})
    return pb.Answer(payload=payload, last=4, batch=1, model="tiny", stream="default")


def _twice(ack: pb.Ack) -> list[pb.Ack]:
    return [ack, ack]


def _foreign_ack(ack: pb.Ack) -> list[pb.Ack]:
    return [pb.Ack(bytes_received=ack.bytes_received, seal=bytes(8))]


def _damaged_on_its_way_up(up: pb.Up) -> pb.Up:
    damaged = bytearray(up.chunk.data)
    damaged[-1] ^= 1
    up.chunk.data = bytes(damaged)
    return up


def _readdressed_on_its_way_up(up: pb.Up) -> pb.Up:
    up.open.stream = "rear"
    return up


CRIMES: dict[str, tuple[Callable[[], Crime], Measure]] = {
    "the previous frame's answer": (lambda: Crime(to_answer=_earlier), Measure.SEQUENCE),
    "its outputs under this frame's names and seal": (lambda: Crime(to_answer=_earlier_mended), Measure.CHECKSUM),
    "it, with all names mended": (lambda: Crime(to_answer=_earlier_renumbered), Measure.CHECKSUM),
    "two answers swapped": (lambda: Crime(swap=True), Measure.SEQUENCE),
    "a bit flipped": (lambda: Crime(to_answer=_bit_flipped), Measure.CHECKSUM),
    "another model's answer": (lambda: Crime(to_answer=_another_model), Measure.IDENTITY),
    "another stream's id": (lambda: Crime(to_answer=_another_stream), Measure.IDENTITY),
    "another client's answer": (lambda: Crime(to_answer=_another_session), Measure.IDENTITY),
    "an answer that nobody asked for": (lambda: Crime(at_once=_made_up), Measure.IDENTITY),
    "an end without an answer": (lambda: Crime(to_answer=_nothing), Measure.SEQUENCE),
    "an answer after its time": (lambda: Crime(hold_s=DEADLINE_MS / 1e3 + 0.2), Measure.TIME_OF_LIFE),
    "acknowledged twice": (lambda: Crime(to_ack=_twice), Measure.SEQUENCE),
    "a foreign acknowledgement": (lambda: Crime(to_ack=_foreign_ack), Measure.CHECKSUM),
    "a frame damaged on its way up": (lambda: Crime(to_up=_damaged_on_its_way_up), Measure.CHECKSUM),
    "a request readdressed on its way up": (lambda: Crime(to_up=_readdressed_on_its_way_up), Measure.CHECKSUM),
}


def network_of(session: Session) -> CloudNetwork:
    network = session._driver._network
    assert isinstance(network, CloudNetwork)
    return network


@pytest.mark.parametrize("kind", CRIMES)
def test_no_misbehaviour_delivers_another_frames_answer_and_each_is_named(
    task: Task, profile: Profile, task_file: Path, kind: str
) -> None:
    make, measure = CRIMES[kind]
    crime = make()
    with misbehaving(crime, task_file) as server:
        with Session(task, server.address, profile=profile, deadline_ms=DEADLINE_MS) as session:
            with Traffic(session) as traffic:
                rejected = network_of(session).rejected
                until(lambda: rejected[measure] >= SEEN, f"{SEEN} times {measure}")
            answers = traffic.check(task)  # each is the whole model's, for that very frame
    assert crime.committed >= SEEN
    assert Source.LOCAL in {answer.source for answer in answers}
    said = [event.message for _, event, _ in traffic.steps.steps if isinstance(event, r.RemoteFailed)]
    assert sum(message.startswith(f"{measure.value}: ") for message in said) >= SEEN or measure is Measure.TIME_OF_LIFE


def test_without_the_seals_another_frames_answer_would_be_delivered(
    task: Task, profile: Profile, task_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "check_answer", lambda *_: None)
    crime = Crime(to_answer=_earlier)
    with misbehaving(crime, task_file) as server:
        with Session(task, server.address, profile=profile, deadline_ms=DEADLINE_MS) as session:
            with Traffic(session) as traffic:
                until(lambda: crime.committed >= SEEN, "answers of earlier frames")
            with pytest.raises(AssertionError, match="Not equal"):
                traffic.check(task)
