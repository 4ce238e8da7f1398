"""The wire over an emulated link (a relay in user space): cut, stalled, reset, and back again."""

import time
from collections.abc import Iterator

import pytest

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.relay import Relay
from hedgerow.wire import CloudClient, FaultKind
from tests.wire.serving import PATIENCE_S, Device, ServerProcess, probe, send, sockets_of, until


@pytest.fixture
def relay(server: ServerProcess) -> Iterator[Relay]:
    made = Relay("127.0.0.1", server.port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def far(relay: Relay) -> Iterator[CloudClient]:
    with CloudClient(f"127.0.0.1:{relay.port}") as client:
        client.describe(PATIENCE_S)
        yield client


def found_again(client: CloudClient) -> None:
    """Probe on fresh connections as a device does while its link is down."""
    end = time.monotonic() + PATIENCE_S
    while probe(client, 1000, fresh=True, timeout_s=0.5) is None:
        assert time.monotonic() < end, "the link was never found again"


def test_a_reset_in_the_middle_is_the_links_fault(relay: Relay, far: CloudClient, device: Device) -> None:
    relay.set_conditions(LinkConditions(uplink_bytes_per_s=1e6))
    sends = [send(far, device.crossing({}, payload=bytes(4 << 20))) for _ in range(3)]
    sends[0].wait_for_ack()
    relay.reset()
    for sent in sends:
        assert sent.fault().kind is FaultKind.LINK
        assert len(sent.ends) == 1
    relay.clear()
    found_again(far)
    send(far, device.crossing(device.sample())).answer()


@pytest.mark.parametrize("how", ["stall", "blackout"])
def test_every_request_of_a_dead_link_ends_when_its_time_is_up(
    relay: Relay, far: CloudClient, device: Device, how: str
) -> None:
    getattr(relay, how)(True)
    sends = [send(far, device.crossing(device.sample(), remaining_s=0.2)) for _ in range(20)]
    for sent in sends:
        assert sent.fault().kind in (FaultKind.TOO_LATE, FaultKind.LINK)
        assert len(sent.ends) == 1
    assert probe(far, 0, fresh=False, timeout_s=0.1) is None
    assert probe(far, 0, fresh=True, timeout_s=0.1) is None
    getattr(relay, how)(False)
    found_again(far)
    send(far, device.crossing(device.sample())).answer()


def test_many_fresh_probes_into_the_dark_leave_no_socket(relay: Relay, far: CloudClient, device: Device) -> None:
    send(far, device.crossing(device.sample())).answer()
    sockets = sockets_of()
    relay.stall(True)
    for _ in range(30):
        assert probe(far, 1000, fresh=True, timeout_s=0.02) is None
    relay.stall(False)
    found_again(far)
    until(lambda: sockets_of() <= sockets, "the probes' sockets are closed")


def test_stopping_on_a_slow_link_stops(relay: Relay, far: CloudClient, device: Device) -> None:
    """At 1 Mbit/s a megabyte takes 8 s; once the pace is known, little of it is under way when it is stopped."""
    relay.set_conditions(LinkConditions(uplink_bytes_per_s=125_000))
    assert probe(far, 100_000, fresh=False, timeout_s=PATIENCE_S) is not None
    crossing = device.crossing({}, payload=bytes(1 << 20))
    sent = send(far, crossing)
    sent.wait_for_ack()
    far.stop(crossing.key)
    assert sent.fault().kind is FaultKind.CANCELLED
    before = relay.stats().uplink_bytes
    send(far, device.crossing(device.sample())).answer()
    until(lambda: relay.stats().uplink_bytes > before, "the next crossing has passed")
    assert relay.stats().uplink_bytes - before < 1 << 18
