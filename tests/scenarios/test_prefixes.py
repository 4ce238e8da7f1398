"""A link that slows down to a trickle while a payload crosses: what has crossed by the last moment is answered, by a server in a
process of its own over an emulated link, and the answer is that of `decode_prefix` on those very bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hedgerow import codecs
from hedgerow.core import records as r
from hedgerow.core.records import Source, Status
from hedgerow.core.views import PrefixAnswer
from hedgerow.device.answer import Answer
from hedgerow.device.journal import replay
from hedgerow.device.session import Session
from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.relay import Relay
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from hedgerow.profiling.profile import Agreement, CrossingProfile
from tests.device.small import Steps, _times, profile_of
from tests.scenarios.test_link_faults import relayed
from tests.wire.latents import CODEC, JOINT, answered_from, calibrated, frame, latent_task
from tests.wire.serving import ServerProcess, server_process, until

SIDE = 48
ARM = f"split:latent@{JOINT}:{CODEC}"
DEADLINE_MS = 4000
SLOW_BYTES_PER_S = 2200.0


@pytest.fixture(scope="module")
def latent(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return latent_task(tmp_path_factory.mktemp("latent"), SIDE)


@pytest.fixture(scope="module")
def latent_server(latent: Task) -> Iterator[ServerProcess]:
    with server_process(latent.models[0].path.with_suffix(".toml")) as process:
        yield process


@pytest.fixture(scope="module")
def by_hand(latent: Task) -> Profile:
    """The rest of "latent" would take this device 20 s; "small" answers at once and is right in 8 of 20; a part of the latent in 10
    or more of 20."""
    made = profile_of(latent, agreeing={"small": 8})
    (big,) = (each for each in made.models if each.name == "latent")
    slow, quick = _times(20_000, 40_000), _times(1.0, 60.0)
    segments = tuple(
        msgspec.structs.replace(each, tail=slow, time=slow if place == len(big.segments) - 1 else quick)
        for place, each in enumerate(big.segments)
    )
    models = tuple(msgspec.structs.replace(big, segments=segments) if each is big else each for each in made.models)
    crossing = CrossingProfile(
        "latent",
        JOINT,
        CODEC,
        13_000,
        14_000,
        _times(30.0, 300.0),
        _times(300.0, 600.0).idle,
        calibrated(SIDE).to_dict(),
    )
    agreement = {**made.agreement, ARM: Agreement(1.0, "1" * 20)}
    for share, agrees in ((0.5, 10), (0.65, 12), (0.8, 16), (0.9, 18)):
        agreement[f"{ARM}|{share:g}"] = Agreement(agrees / 20, "1" * agrees + "0" * (20 - agrees))
    cloud = msgspec.structs.replace(made.cloud, segments_ns={"latent": (1, 1, 1_000_000), "small": None})
    return msgspec.structs.replace(
        made, models=models, crossings=(*made.crossings, crossing), agreement=agreement, cloud=cloud
    )


@contextmanager
def crossing(
    task: Task, profile: Profile, server: ServerProcess, journal: Path
) -> Iterator[tuple[Relay, Session, Steps]]:
    """A session over a relay, once its link is open, and what it does step by step."""
    with relayed(server) as relay:
        address, steps = f"127.0.0.1:{relay.port}", Steps()
        with Session(
            task, address, profile=profile, deadline_ms=DEADLINE_MS, policy=f"only:{ARM}", journal=journal
        ) as session:
            session.listen(steps)
            until(lambda: steps.moved_to("closed"), "the link to be open")
            yield relay, session, steps


def parts(steps: Steps) -> list[PrefixAnswer]:
    return [record for _, record in steps.records() if isinstance(record, PrefixAnswer)]


def test_what_crossed_before_the_link_slowed_down_is_the_answer(
    latent: Task, by_hand: Profile, latent_server: ServerProcess, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with crossing(latent, by_hand, latent_server, journal) as (relay, session, steps):
        relay.set_conditions(LinkConditions(uplink_bytes_per_s=SLOW_BYTES_PER_S))
        cut = session.answer({"x": frame(2, SIDE)})
        relay.clear()
    codec = codecs.get(CODEC, calibration=calibrated(SIDE))
    with latent.open("latent") as chain:
        payload = codec.encode(chain.run({"x": frame(2, SIDE)}, 0, JOINT).tensors)
        (part,) = parts(steps)
        assert part.payload_bytes == len(payload)
        assert part.prefix_bytes in codecs.prefix_ends(codec, payload)
        assert part.prefix_bytes / part.payload_bytes >= 0.5
        same = answered_from(chain, codec, payload[: part.prefix_bytes])
    check_cut(cut, part)
    np.testing.assert_array_equal(cut.outputs["y"], same["y"])
    assert replay(journal).difference is None


def check_cut(answer: Answer, part: PrefixAnswer) -> None:
    assert (answer.status, answer.source, answer.arm) == (Status.ANSWERED, Source.REMOTE, ARM)
    assert answer.prefix_share == part.prefix_bytes / part.payload_bytes < 1
    assert answer.agreement == part.quality
    assert 0.4 < part.quality < 1.0
    assert part.behind < part.quality


def test_when_nothing_crosses_the_reserve_answers_as_ever(
    latent: Task, by_hand: Profile, latent_server: ServerProcess, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with crossing(latent, by_hand, latent_server, journal) as (relay, session, steps):
        whole = session.answer({"x": frame(1, SIDE)})
        relay.stall(True)
        answer = session.answer({"x": frame(3, SIDE)}, deadline_ms=1500)
        relay.stall(False)
    assert (answer.status, answer.source, answer.model) == (Status.ANSWERED, Source.LOCAL, "small")
    assert answer.prefix_share is None
    assert (whole.source, whole.prefix_share) == (Source.REMOTE, None)
    assert whole.agreement > 0.97 > answer.agreement
    assert parts(steps) == []
    sends = [action for _, _, outcome in steps.steps for action in outcome.actions if isinstance(action, r.Send)]
    assert [each.prefix_bytes > 0 for each in sends] == [True, True]
    assert replay(journal).difference is None
