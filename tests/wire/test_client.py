"""The client against a real server process: answers, faults, probes, death and return of the server, nothing left."""

import asyncio
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from hedgerow import codecs
from hedgerow.errors import LinkError, UsageError
from hedgerow.wire import ClientLimits, CloudClient, Fault, FaultKind
from tests.wire.serving import (
    PATIENCE_S,
    Device,
    ServerProcess,
    assert_close,
    probe,
    send,
    server_process,
    sockets_of,
    until,
)


def test_every_cut_gives_the_answer_of_the_whole_model(client: CloudClient, device: Device) -> None:
    sample = device.sample(rows=3)
    whole = device.chain.run(sample).tensors
    for joint in range(-1, device.last):
        answer = send(client, device.crossing(sample, joint=joint)).answer()
        assert set(answer.tensors) == set(whole)
        assert_close(answer.tensors["y"], whole["y"])


def test_a_middle_piece_gives_the_tensors_of_its_joint(client: CloudClient, device: Device) -> None:
    sample = device.sample()
    answer = send(client, device.crossing(sample, joint=0, last=2)).answer()
    assert_close(answer.tensors["h1"], device.chain.run(sample, 0, 2).tensors["h1"])
    assert len(answer.segment_ns) == 2


def test_the_answer_says_where_the_time_went(client: CloudClient, device: Device) -> None:
    answer = send(client, device.crossing(device.sample())).answer()
    assert answer.queue_ns >= 0
    assert answer.decode_ns > 0
    assert answer.compute_ns >= sum(answer.segment_ns) > 0
    assert answer.answer_bytes >= answer.tensors["y"].nbytes
    assert answer.batch == 1


def test_acknowledgements_grow_from_a_small_first_one_to_the_whole(client: CloudClient, device: Device) -> None:
    sent = send(client, device.crossing(device.sample(rows=2000)))
    sent.answer()
    received = [size for size, _ in sent.acks]
    assert received[0] == 1024
    assert received == sorted(received)
    assert received[-1] == len(codecs.get("raw").encode(device.sample(rows=2000)))
    assert sent.threads == {"hedgerow-link"}


def test_many_crossings_at_once_each_get_their_own_answer(client: CloudClient, device: Device) -> None:
    samples = [device.sample(rows=1 + number % 5, seed=number) for number in range(30)]
    sends = [send(client, device.crossing(sample)) for sample in samples]
    for sample, sent in zip(samples, sends, strict=True):
        assert_close(sent.answer().tensors["y"], device.chain.run(sample).tensors["y"])
        assert len(sent.ends) == 1


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"task_id": "0" * 64}, FaultKind.WRONG_TASK),
        ({"model": "unknown"}, FaultKind.WRONG_MODEL),
        ({"chain_id": "0" * 64}, FaultKind.WRONG_MODEL),
        ({"joint": 99}, FaultKind.WRONG_CUT),
        ({"joint": 4}, FaultKind.WRONG_CUT),
        ({"joint": -2}, FaultKind.WRONG_CUT),
        ({"last": 5}, FaultKind.WRONG_CUT),
        ({"codec": "no-such"}, FaultKind.WRONG_CODEC),
        ({"calibration_id": "0123456789abcdef"}, FaultKind.WRONG_CODEC),
        ({"payload": b"garbage" * 100}, FaultKind.BAD_PAYLOAD),
        ({"payload": b""}, FaultKind.BAD_PAYLOAD),
        ({"remaining_ns": 0}, FaultKind.TOO_LATE),
        ({"remaining_ns": -5}, FaultKind.TOO_LATE),
    ],
)
def test_what_is_wrong_is_a_typed_fault(
    client: CloudClient, device: Device, changes: dict[str, Any], kind: FaultKind
) -> None:
    sent = send(client, replace(device.crossing(device.sample()), **changes))
    assert sent.fault().kind is kind
    assert "\n" not in sent.fault().message
    assert len(sent.ends) == 1


def test_a_payload_for_another_cut_is_refused(client: CloudClient, device: Device) -> None:
    payload = codecs.get("raw").encode(device.alive_after(1, device.sample()))
    assert (
        send(client, device.crossing(device.sample(), joint=0, payload=payload)).fault().kind is FaultKind.BAD_PAYLOAD
    )


def test_a_calibrated_payload_needs_its_calibration_first(client: CloudClient, device: Device) -> None:
    samples = [device.alive_after(2, device.sample(rows=2, seed=seed)) for seed in range(4)]
    calibration = codecs.calibrate("q4", samples)
    payload = codecs.get("q4", calibration=calibration).encode(samples[0])
    crossing = device.crossing({}, joint=2, codec="q4", payload=payload, calibration_id=calibration.id)
    assert send(client, crossing).fault().kind is FaultKind.WRONG_CODEC
    assert client.put_calibration(calibration) == calibration.id
    assert calibration.id in client.describe().calibration_ids
    answer = send(client, crossing).answer()
    assert_close(answer.tensors["y"], device.chain.run(samples[0], 3).tensors["y"], tolerance=0.5)


def test_describe_tells_both_sides_that_they_agree(client: CloudClient, device: Device) -> None:
    model = client.describe().model(device.task.task_id, device.name)
    assert model is not None
    assert model.chain_id == device.chain.chain_id
    assert model.model_id == device.chain.model_id
    assert len(model.segments) - 1 == device.last


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("payload_bytes", [0, 1, 1024, 100_000])
def test_a_probe_measures(client: CloudClient, payload_bytes: int, fresh: bool) -> None:
    result = probe(client, payload_bytes, fresh=fresh, timeout_s=PATIENCE_S)
    assert result is not None
    rtt_ns, transfer_ns, size = result
    assert 0 < rtt_ns <= transfer_ns
    assert size == payload_bytes


def test_stopping_ends_with_one_fault_and_sends_no_more(client: CloudClient, device: Device) -> None:
    crossing = device.crossing({}, payload=bytes(16 << 20))
    sent = send(client, crossing)
    sent.wait_for_ack()
    client.stop(crossing.key)
    assert sent.fault().kind is FaultKind.CANCELLED
    received = sent.acks[-1][0]
    assert received < 16 << 20
    send(client, device.crossing(device.sample())).answer()
    assert sent.acks[-1][0] == received
    assert len(sent.ends) == 1


def test_stopping_before_it_started_still_ends_it(client: CloudClient, device: Device) -> None:
    for _ in range(50):
        crossing = device.crossing(device.sample())
        sent = send(client, crossing)
        client.stop(crossing.key)
        sent.end()
        assert len(sent.ends) == 1


def test_stopping_what_ended_or_never_was_does_nothing(client: CloudClient, device: Device) -> None:
    crossing = device.crossing(device.sample())
    sent = send(client, crossing)
    sent.answer()
    client.stop(crossing.key)
    client.stop((bytes(16), 7))
    send(client, device.crossing(device.sample())).answer()
    assert len(sent.ends) == 1


def test_limits_of_this_side_are_faults(server: ServerProcess, device: Device) -> None:
    limits = ClientLimits(flights_max=1, payload_bytes_max=100_000)
    with CloudClient(server.address, limits=limits) as client:
        assert send(client, device.crossing({}, payload=bytes(100_001))).fault().kind is FaultKind.TOO_LARGE
        first = device.crossing(device.sample(rows=200))
        sends = [send(client, first), send(client, device.crossing(device.sample()))]
        assert sends[1].fault().kind is FaultKind.OVERLOADED
        sends[0].answer()
        with pytest.raises(UsageError, match="16 bytes"):
            send(client, device.crossing(device.sample(), sample_id=b"short"))
        with pytest.raises(UsageError, match="probe carries"):
            probe(client, 100_001, fresh=False, timeout_s=1)


def test_an_unreachable_server_is_the_links_fault(device: Device) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with CloudClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(LinkError):
            client.describe(2.0)
        assert send(client, device.crossing(device.sample())).fault().kind is FaultKind.LINK
        assert probe(client, 0, fresh=False, timeout_s=1) is None
        assert probe(client, 1000, fresh=True, timeout_s=0.3) is None


def test_a_silent_server_is_given_up_in_time(device: Device) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        CloudClient(f"127.0.0.1:{silent.getsockname()[1]}") as client,
    ):
        fault = send(client, device.crossing(device.sample(), remaining_s=0.2)).fault()
        assert fault.kind in (FaultKind.TOO_LATE, FaultKind.LINK)
        with pytest.raises(LinkError):
            client.describe(0.2)


def test_what_is_no_grpc_server_is_a_fault(device: Device) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))

        babbler = threading.Thread(target=babble)
        babbler.start()
        with CloudClient(f"127.0.0.1:{listener.getsockname()[1]}") as client:
            assert isinstance(send(client, device.crossing(device.sample(), remaining_s=1.0)).end(), Fault)
        listener.shutdown(socket.SHUT_RDWR)
        babbler.join(PATIENCE_S)


def test_a_killed_server_answers_everything_with_faults_and_is_found_again(tiny_task: Path, device: Device) -> None:
    with server_process(tiny_task) as first, CloudClient(first.address) as client:
        client.describe()
        sends = [send(client, device.crossing({}, payload=bytes(16 << 20))) for _ in range(4)]
        sends[0].wait_for_ack()
        first.kill()
        for sent in sends:
            assert sent.fault().kind is FaultKind.LINK
        with server_process(tiny_task, port=first.port):
            assert probe(client, 1000, fresh=True, timeout_s=PATIENCE_S) is not None
            send(client, device.crossing(device.sample())).answer()


def test_reconnecting_lets_what_runs_end(client: CloudClient, device: Device) -> None:
    sends = []
    for _ in range(10):
        sends.append(send(client, device.crossing(device.sample(rows=500))))
        client.reconnect()
    for sent in sends:
        sent.answer()


def test_closing_ends_everything_and_leaves_no_thread_or_socket(server: ServerProcess, device: Device) -> None:
    for _ in range(3):
        before = set(threading.enumerate())
        sockets = sockets_of()
        client = CloudClient(server.address)
        client.describe()
        sent = send(client, device.crossing({}, payload=bytes(16 << 20)))
        sent.wait_for_ack()
        client.close()
        client.close()
        assert sent.fault().kind is FaultKind.CANCELLED
        assert send(client, device.crossing(device.sample())).fault().kind is FaultKind.CANCELLED
        with pytest.raises(LinkError, match="closed"):
            client.describe()
        assert not [thread for thread in threading.enumerate() if thread.name == "hedgerow-link"]
        until(lambda: sockets_of() <= sockets, "the sockets are closed")  # noqa: B023
        until(lambda: set(threading.enumerate()) <= before, "gRPC's own thread has gone")  # noqa: B023


def test_sending_does_not_block(client: CloudClient, device: Device) -> None:
    """A stop that were to wait for the network would wait for a callback that holds the network's thread."""
    held, go_on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        held.set()
        go_on.wait(PATIENCE_S)

    client.send(device.crossing(device.sample()), on_ack=hold, on_answer=hold, on_fault=hold)
    assert held.wait(PATIENCE_S)
    crossing = device.crossing(device.sample())
    begun = time.monotonic()
    sent = send(client, crossing)
    client.stop(crossing.key)
    client.reconnect()
    assert time.monotonic() - begun < PATIENCE_S / 2  # far below the time for which the thread is held
    go_on.set()
    sent.end()


def test_close_closes_the_connections_even_if_something_under_way_does_not_end(server: ServerProcess) -> None:
    sockets = sockets_of()
    client = CloudClient(server.address, limits=ClientLimits(close_timeout_s=2.0))
    client.describe()
    assert sockets_of() > sockets

    async def stubborn() -> None:
        line = client._line()  # as a probe on a fresh connection has it
        await line.channel.channel_ready()
        ready.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            await asyncio.sleep(PATIENCE_S)

    def begin() -> None:
        client._probes.add(cast("asyncio.Task[tuple[int, int, int]]", asyncio.ensure_future(stubborn())))

    ready = threading.Event()
    client._thread.post(begin)
    assert ready.wait(PATIENCE_S)
    before = set(threading.enumerate())
    client.close()
    assert client._thread._thread not in before & set(threading.enumerate())
    until(lambda: sockets_of() <= sockets, "the sockets are closed")
