"""Payloads that are cut: the server computes from the part that is here when its time to wait is over, exactly as `decode_prefix`
tells it, and from nothing that its digest does not cover."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow import codecs
from hedgerow.cloud.admission import Admission
from hedgerow.cloud.calibrations import CalibrationStore
from hedgerow.cloud.catalogue import Catalogue
from hedgerow.cloud.crossing import CrossingService, _read_until
from hedgerow.cloud.lanes import Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.models.tensors import Tensors
from hedgerow.wire import CloudClient, Crossing, readers
from hedgerow.wire.faults import FaultKind
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.messages import PREFIX_VERSION, PROTOCOL_VERSION, check_version
from tests.cloud.test_crossing import Scripted, ask, fault_kind, opened, up
from tests.wire.latents import LIMITS, LatentDevice, frame, write_latent_task
from tests.wire.serving import PATIENCE_S, LocalServer, local_server, send

HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def latent_task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_latent_task(tmp_path_factory.mktemp("latent"))


@pytest.fixture(scope="module")
def latent_device(latent_task_file: Path) -> LatentDevice:
    return LatentDevice(latent_task_file)


@pytest.fixture(scope="module")
def latent_server(latent_task_file: Path, latent_device: LatentDevice) -> Iterator[LocalServer]:
    with local_server(latent_task_file) as running, CloudClient(running.address) as client:
        assert client.describe().prefixes
        client.put_calibration(latent_device.calibration)
        yield running


def outputs(down: pb.Down) -> Tensors:
    return codecs.get("raw").decode(down.answer.payload, limits=LIMITS)


def same(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("place", range(4))
def test_what_is_here_when_the_wait_is_over_is_answered(
    latent_server: LocalServer, latent_device: LatentDevice, place: int
) -> None:
    crossing = latent_device.cut_crossing(place, after_ns=0)
    end = crossing.prefix_ends[place]
    downs = ask(latent_server, up(open=opened(crossing), data=crossing.payload[: end + 3]))
    assert [down.ack.bytes_received for down in downs[:-1]] == [end + 3]
    assert downs[-1].answer.prefix_bytes == end
    same(outputs(downs[-1]), latent_device.answer_from(crossing.payload[:end]))


def test_with_time_to_wait_the_whole_is_answered(latent_server: LocalServer, latent_device: LatentDevice) -> None:
    crossing = latent_device.cut_crossing(5, after_ns=HOUR_NS)
    end = crossing.prefix_ends[1]
    first, rest = up(open=opened(crossing), data=crossing.payload[:end]), crossing.payload[end:]
    downs = ask(latent_server, first, up(offset=end, data=rest))
    assert downs[-1].answer.prefix_bytes == 0
    same(outputs(downs[-1]), latent_device.answer_from(crossing.payload))


def test_too_little_for_an_answer_is_waited_with(latent_server: LocalServer, latent_device: LatentDevice) -> None:
    """The first chunk ends before the first place to cut at; the next one brings it, long after the time to wait."""
    crossing = latent_device.cut_crossing(6, after_ns=0, from_end=1)
    end = crossing.prefix_ends[0]
    first = up(open=opened(crossing), data=crossing.payload[: end - 1])
    assert fault_kind(ask(latent_server, first)) == "bad_payload"  # the stream ended: nothing was computed
    first = up(open=opened(crossing), data=crossing.payload[: end - 1])
    downs = ask(latent_server, first, up(offset=end - 1, data=crossing.payload[end - 1 : end]))
    assert [down.ack.bytes_received for down in downs[:-1]] == [end - 1, end]
    assert downs[-1].answer.prefix_bytes == end


def test_another_frames_layers_pass_their_own_checksums_and_not_the_digest(
    latent_server: LocalServer, latent_device: LatentDevice
) -> None:
    crossing, other = (latent_device.cut_crossing(seed, after_ns=0) for seed in (7, 8))
    end = crossing.prefix_ends[3]
    assert latent_device.answer_from(other.payload[:end])  # for the layers alone it is as good as any
    runs = latent_server.catalogue.named("latent").times.runs
    downs = ask(latent_server, up(open=opened(crossing), data=other.payload[:end]))
    assert (fault_kind(downs), downs[-1].fault.measure) == ("corrupt", "checksum")
    assert latent_server.catalogue.named("latent").times.runs == runs  # nothing was computed


def test_damage_anywhere_in_a_part_is_refused(latent_server: LocalServer, latent_device: LatentDevice) -> None:
    crossing = latent_device.cut_crossing(9, after_ns=0)
    end = crossing.prefix_ends[0]
    for place in range(0, end, 41):
        damaged = bytearray(crossing.payload[:end])
        damaged[place] ^= 0x10
        downs = ask(latent_server, up(open=opened(crossing), data=bytes(damaged)))
        assert (fault_kind(downs), downs[-1].fault.measure) == ("corrupt", "checksum")


def test_openings_that_cut_where_none_can_be_are_refused(
    latent_server: LocalServer, latent_device: LatentDevice
) -> None:
    crossing = latent_device.cut_crossing(10, after_ns=0)
    size = len(crossing.payload)
    plain = replace(crossing, prefix_ends=())
    for ends in ((0,), (9, 9), (9, 8), (size,), (1, 2, 3, 4, 5)):
        downs = ask(latent_server, up(open=opened(replace(crossing, prefix_ends=ends)), data=crossing.payload))
        assert (fault_kind(downs), downs[-1].fault.measure) == ("corrupt", "form")
    for wrong in (opened(crossing, version=PROTOCOL_VERSION), opened(plain, version=PREFIX_VERSION)):
        downs = ask(latent_server, up(open=wrong, data=crossing.payload))
        assert (fault_kind(downs), downs[-1].fault.measure) == ("corrupt", "form")


def test_a_payload_that_is_all_or_nothing_cannot_be_cut(
    latent_server: LocalServer, latent_device: LatentDevice
) -> None:
    alive = latent_device.alive_after(1, {"x": frame(1)})
    raw = latent_device.crossing({}, joint=1, payload=codecs.get("raw").encode(alive), prefix_ends=(40,))
    assert fault_kind(ask(latent_server, up(open=opened(raw), data=raw.payload[:40]))) == "bad_payload"
    sealed = latent_device.cut_crossing(11, after_ns=0)
    early = replace(sealed, prefix_ends=(20, *sealed.prefix_ends[:2]))  # before the first layer's end
    assert fault_kind(ask(latent_server, up(open=opened(early), data=sealed.payload[:20]))) == "bad_payload"


def test_a_server_of_before_refuses_what_it_cannot_know_and_says_why(
    latent_server: LocalServer, latent_device: LatentDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "check_version", lambda version, _known=(): check_version(version))
    crossing = latent_device.cut_crossing(12, after_ns=0)
    downs = ask(latent_server, up(open=opened(crossing), data=crossing.payload))
    assert fault_kind(downs) == "wrong_version"
    assert "speaks protocol 2, the other side 3" in downs[-1].fault.message
    whole = replace(crossing, prefix_ends=())  # as the client asks where the description says nothing of parts
    assert ask(latent_server, up(open=opened(whole), data=whole.payload))[-1].HasField("answer")


def test_with_too_little_by_its_deadline_it_is_too_late(latent_device: LatentDevice) -> None:
    catalogue, limits = Catalogue([latent_device.task]), ServerLimits()
    lanes, store = Lanes(1, queue_length_max=4), CalibrationStore(count_max=1, bytes_max=1 << 20)
    store._kept[latent_device.calibration.id] = latent_device.calibration
    service = CrossingService(Admission(catalogue, lanes, store, limits), lanes, limits)

    def stalled(crossing: Crossing, size: int) -> pb.Down:
        stream = Scripted(up(open=opened(crossing), data=crossing.payload[:size]))
        asyncio.run(asyncio.wait_for(service._cross(None, stream), PATIENCE_S))
        return stream.written[-1]

    short = latent_device.cut_crossing(13, after_ns=10**7, remaining_s=0.2)
    assert stalled(short, short.prefix_ends[0] - 1).fault.kind == "too_late"
    enough = latent_device.cut_crossing(14, after_ns=10**7)
    assert stalled(enough, enough.prefix_ends[2] + 1).answer.prefix_bytes == enough.prefix_ends[2]
    lanes.close(PATIENCE_S)
    catalogue.close()


def test_what_is_here_already_is_taken_however_late_it_is_looked_for() -> None:
    async def look(stream: Scripted, cut_ns: int) -> bytes | None:
        return await asyncio.wait_for(_read_until(stream, cut_ns), PATIENCE_S)

    for cut_ns in (0, time.monotonic_ns() + HOUR_NS):
        assert asyncio.run(look(Scripted(b"next"), cut_ns)) == b"next"
    assert asyncio.run(look(Scripted(), 0)) is None


def test_small_numbers_that_are_not_told_in_layers_cannot_be_cut(
    latent_server: LocalServer, latent_device: LatentDevice
) -> None:
    alive = latent_device.alive_after(1, {"x": frame(1)})
    plain = latent_device.crossing(
        {}, joint=1, codec="ints", payload=codecs.get("ints").encode(alive), prefix_ends=(40,)
    )
    downs = ask(latent_server, up(open=opened(plain), data=plain.payload[:40]))
    assert fault_kind(downs) == "bad_payload"
    assert "cannot be read from its first part" in downs[-1].fault.message


def test_the_client_learns_from_which_part_the_answer_came(
    latent_server: LocalServer, latent_device: LatentDevice
) -> None:
    with CloudClient(latent_server.address) as client:
        whole = send(client, latent_device.cut_crossing(15, after_ns=HOUR_NS)).answer()
        assert whole.prefix_bytes == 0
        wrong = latent_device.cut_crossing(16, after_ns=0)
        assert send(client, replace(wrong, prefix_ends=(5, 4))).fault().kind is FaultKind.CORRUPT
