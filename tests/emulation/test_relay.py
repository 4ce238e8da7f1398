"""The relay with real sockets. Lower bounds on times are physics and may be asserted; upper bounds are not."""

import hashlib
import os
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.pipe import PipeLimits
from hedgerow.emulation.player import Player
from hedgerow.emulation.relay import Relay
from hedgerow.emulation.script import Script
from hedgerow.emulation.switchboard import RelayLimits, Trip
from hedgerow.emulation.traces import Trace, TraceRow
from hedgerow.errors import HostError, UsageError

from .peers import EchoServer, connect, echo_server, free_port, receive, silent


@pytest.fixture(autouse=True)
def no_idle_wakeups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wake-up that the relay forgets makes its test hang instead of being mended by the idle turn."""
    monkeypatch.setattr("hedgerow.emulation.relay._IDLE_NS", 3600 * 10**9)


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with echo_server() as server:
        yield server


@pytest.fixture
def relay(server: EchoServer) -> Iterator[Relay]:
    relay = Relay("127.0.0.1", server.port)
    relay.start()
    yield relay
    relay.stop()


def exchange(sock: socket.socket, data: bytes) -> bytes:
    """Send in pieces of seeded random sizes while reading what comes back."""
    chance = random.Random(len(data))

    def send() -> None:
        at = 0
        while at < len(data):
            size = chance.choice([1, 7, 500, 4096, 30_000])
            sock.sendall(data[at : at + size])
            at += size
        sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    back = receive(sock, len(data) + 1)
    thread.join()
    return back


def resets(port: int) -> bool:
    """Whether a new connection is accepted and then reset."""
    try:
        with connect(port) as sock:
            return sock.recv(1) is None
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "conditions",
    [LinkConditions(), LinkConditions.of_mbps(40, 20, 0), LinkConditions.of_mbps(80, None, 30)],
    ids=["unshaped", "rates", "rates and delay"],
)
def test_bytes_arrive_whole_and_in_order(relay: Relay, conditions: LinkConditions) -> None:
    relay.set_conditions(conditions)
    data = random.Random(1).randbytes(400_000)
    with connect(relay.port) as sock:
        back = exchange(sock, data)
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()
    assert relay.stats().uplink_bytes == relay.stats().downlink_bytes == len(data)


def test_bytes_survive_a_link_that_changes_all_the_time(relay: Relay) -> None:
    chance = random.Random(2)
    done = threading.Event()

    def shake() -> None:
        while not done.wait(0.01):
            rate = chance.choice([None, 4.0, 40.0, 200.0])
            relay.set_conditions(LinkConditions.of_mbps(rate, rate, chance.choice([0.0, 5.0, 20.0])))
            relay.stall(chance.random() < 0.3)
        relay.clear()

    shaker = threading.Thread(target=shake)
    shaker.start()
    payloads = [random.Random(seed).randbytes(150_000) for seed in range(4)]
    backs: dict[int, bytes] = {}

    def client(number: int) -> None:
        with connect(relay.port, 60) as sock:
            backs[number] = exchange(sock, payloads[number])

    clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    done.set()
    shaker.join()
    assert [backs[number] for number in range(4)] == payloads


def test_a_transfer_is_never_faster_than_rate_and_round_trip_allow(relay: Relay) -> None:
    relay.set_conditions(LinkConditions.of_mbps(16, 16, 50))
    with connect(relay.port) as sock:
        start_s = time.monotonic()
        sock.sendall(bytes(100_000))
        assert len(receive(sock, 100_000)) == 100_000
        # Set-up 50 ms, round trip 50 ms, 100 kB at 2 MB/s 50 ms (up and down overlap).
        assert time.monotonic() - start_s >= 0.149


def test_connections_share_one_bottleneck(relay: Relay) -> None:
    relay.set_conditions(LinkConditions.of_mbps(8, None, 0))
    with connect(relay.port) as one, connect(relay.port) as two:
        start_s = time.monotonic()
        for sock in (one, two):
            sock.sendall(bytes(60_000))
        for sock in (one, two):
            receive(sock, 60_000)
        assert time.monotonic() - start_s >= 0.118


def test_a_small_request_passes_a_bulk_upload(relay: Relay, server: EchoServer) -> None:
    relay.set_conditions(LinkConditions.of_mbps(8, None, 0))
    with connect(relay.port) as bulk, connect(relay.port) as control:
        control.sendall(b"hello")
        receive(control, 5)
        sender = threading.Thread(target=bulk.sendall, args=(bytes(1_500_000),))
        sender.start()
        receive(bulk, 10_000)
        control.sendall(b"ping!")
        assert receive(control, 5) == b"ping!"
        assert server.received_bytes < 1_000_000
        relay.set_conditions(LinkConditions())
        receive(bulk, 1_490_000)
        sender.join()


def test_no_byte_crosses_a_stall_and_all_do_after_it(relay: Relay) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"before")
        assert receive(sock, 6) == b"before"
        relay.stall(True)
        count = relay.stats().uplink_bytes
        sock.sendall(b"during")
        assert silent(sock)
        assert relay.stats().uplink_bytes == count
        with connect(relay.port) as late:
            late.sendall(b"late")
            assert silent(late)
            relay.stall(False)
            assert receive(sock, 6) == b"during"
            assert receive(late, 4) == b"late"


def test_a_sender_feels_the_bottleneck_soon(relay: Relay) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        relay.set_conditions(LinkConditions.of_mbps(2, 2, 0))
        relay.stall(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        sock.setblocking(False)
        taken, tries = 0, 0
        while tries < 20:
            try:
                taken += sock.send(bytes(4096))
                tries = 0
            except BlockingIOError:
                tries += 1
                time.sleep(0.01)
        assert taken < 192 * 1024


def test_a_blackout_leaves_connections_and_loses_new_ones(relay: Relay) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"before")
        assert receive(sock, 6) == b"before"
        relay.blackout(True)
        accepted = relay.stats().accepted
        with pytest.raises(TimeoutError):
            connect(relay.port, 0.3)
        assert relay.stats().accepted == accepted
        sock.sendall(b"during")
        assert silent(sock)
        relay.blackout(False)
        assert receive(sock, 6) == b"during"
        with connect(relay.port) as fresh:
            fresh.sendall(b"fresh")
            assert receive(fresh, 5) == b"fresh"


def test_a_server_that_dies_in_a_blackout_is_noticed_after_it(relay: Relay, server: EchoServer) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        relay.blackout(True)
        server.close()
        assert silent(sock)
        relay.blackout(False)
        assert receive(sock, 1) == b""


def test_refusal_is_real_and_passes(relay: Relay) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        relay.refuse(True)
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                connect(relay.port)
        sock.sendall(b"goes on")
        assert receive(sock, 7) == b"goes on"
        relay.blackout(True)
        with pytest.raises(TimeoutError):
            connect(relay.port, 0.2)
        relay.blackout(False)
        with pytest.raises(ConnectionRefusedError):
            connect(relay.port)
        relay.refuse(False)
        with connect(relay.port) as fresh:
            fresh.sendall(b"fresh")
            assert receive(fresh, 5) == b"fresh"


def test_a_reset_kills_both_sides_and_the_relay_lives(relay: Relay, server: EchoServer) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        relay.blackout(True)
        relay.reset()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert not server.alive(0)
    relay.blackout(False)
    assert relay.stats().resets == 1
    with connect(relay.port) as fresh:
        fresh.sendall(b"fresh")
        assert receive(fresh, 5) == b"fresh"


def test_a_peers_reset_reaches_the_other_peer(relay: Relay, server: EchoServer) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        server.abort(0)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_a_half_closed_connection_goes_on_the_other_way(relay: Relay) -> None:
    relay.set_conditions(LinkConditions.of_mbps(8, 8, 20))
    with connect(relay.port) as sock:
        sock.sendall(b"question")
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 100) == b"question"
    while relay.stats().connections:
        time.sleep(0.01)
    assert relay.stats().resets == 0


def test_a_dead_server_resets_the_client_and_may_come_back() -> None:
    port = free_port()
    relay = Relay("127.0.0.1", port)
    relay.start()
    try:
        for _ in range(2):
            assert resets(relay.port)
        with echo_server(port):
            with connect(relay.port) as sock:
                sock.sendall(b"back")
                assert receive(sock, 4) == b"back"
        assert resets(relay.port)
    finally:
        relay.stop()


def test_a_script_plays_on_the_relays_clock(server: EchoServer) -> None:
    script = Script.parse(
        '[[event]]\nat_s = 0.2\nkind = "reset"\n[[event]]\nat_s = 0.2\nkind = "rate"\nuplink_mbps = 3\n'
        '[[event]]\nat_s = 0.4\nkind = "refuse"\nfor_s = 60\n'
    )
    trace = Trace((TraceRow(0.0, 10, 80), TraceRow(0.1, 20, 80)), name="two rows", at_end="hold")
    relay = Relay("127.0.0.1", server.port, player=Player(trace, script), start_clock=False)
    relay.start()
    try:
        assert relay.clock_s is None
        time.sleep(0.3)  # the clock waits: nothing of the script may have happened
        assert relay.conditions.rtt_ms == 10
        with connect(relay.port) as sock:
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"
            relay.begin()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
            assert relay.conditions == LinkConditions.of_mbps(3, 320, 20)
        while not relay.conditions.refused:
            time.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            connect(relay.port)
    finally:
        relay.stop()


def test_connections_beyond_the_limit_wait_their_turn(server: EchoServer) -> None:
    relay = Relay("127.0.0.1", server.port, limits=RelayLimits(connections_max=2))
    relay.start()
    try:
        socks = [connect(relay.port) for _ in range(3)]
        for sock in socks:
            sock.sendall(b"x")
        assert [receive(sock, 1) for sock in socks[:2]] == [b"x", b"x"]
        assert silent(socks[2])
        assert relay.stats().connections == 2
        socks[0].close()
        assert receive(socks[2], 1) == b"x"
        for sock in socks:
            sock.close()
    finally:
        relay.stop()


def test_a_client_that_does_not_read_holds_only_itself(server: EchoServer) -> None:
    limits = RelayLimits(out_bytes_max=64 * 1024, pipe=PipeLimits(queue_bytes_max=64 * 1024))
    relay = Relay("127.0.0.1", server.port, limits=limits)
    relay.start()
    try:
        with connect(relay.port) as deaf, connect(relay.port) as other:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            data = random.Random(3).randbytes(3_000_000)
            sender = threading.Thread(target=deaf.sendall, args=(data,))
            sender.start()
            for _ in range(20):
                other.sendall(b"other")
                assert receive(other, 5) == b"other"
            assert receive(deaf, len(data)) == data
            sender.join()
    finally:
        relay.stop()


def test_a_port_in_use_is_this_machines_fault(server: EchoServer) -> None:
    relay = Relay("127.0.0.1", server.port, listen_port=server.port)
    with pytest.raises(HostError, match=f"port {server.port} of 127.0.0.1 is in use"):
        relay.start()
    relay.stop()


def test_wrong_use_is_refused(server: EchoServer) -> None:
    with pytest.raises(UsageError, match="resolve"):
        Relay("no-such-host.invalid", 1)
    relay = Relay("127.0.0.1", server.port)
    with pytest.raises(UsageError, match="does not run"):
        relay.reset()
    relay.start()
    with pytest.raises(UsageError, match="runs already"):
        relay.start()
    relay.stop()


def test_nothing_is_left_after_stop_and_it_can_start_again() -> None:
    upstream = socket.create_server(("127.0.0.1", 0))  # never accepts, so that every descriptor counted is the relay's
    threads, descriptors = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    relay = Relay("127.0.0.1", int(upstream.getsockname()[1]))
    for _ in range(2):
        relay.start()
        port = relay.port
        sock = connect(port)
        relay.blackout(True)
        relay.stop()
        relay.stop()
        sock.close()
        assert set(threading.enumerate()) == threads
        assert len(os.listdir("/proc/self/fd")) == descriptors
        with pytest.raises(ConnectionRefusedError):
            connect(port)
    upstream.close()


@pytest.mark.parametrize("way", ["up", "down"])
def test_swallowed_bytes_are_lost_in_one_direction_and_cost_the_connection(
    server: EchoServer, relay: Relay, way: str
) -> None:
    with connect(relay.port) as holed, connect(relay.port) as idle:
        for sock in (holed, idle):
            sock.sendall(b"a")
            assert receive(sock, 1) == b"a"
        before = server.received_bytes
        relay.swallow(way)
        holed.sendall(b"lost")
        assert silent(holed)
        assert server.received_bytes - before == (0 if way == "up" else 4)
        relay.swallow("")
        with pytest.raises(ConnectionResetError):
            holed.recv(1)
        idle.sendall(b"b")
        assert receive(idle, 1) == b"b"
    with pytest.raises(UsageError, match="no direction"):
        relay.swallow("sideways")


def test_a_trip_resets_one_connection_once_so_much_has_crossed(server: EchoServer, relay: Relay) -> None:
    with connect(relay.port) as first, connect(relay.port) as second:
        for sock in (first, second):
            sock.sendall(b"abc")
            assert receive(sock, 3) == b"abc"
        before = server.received_bytes
        relay.trip(Trip("up", 5))
        second.sendall(b"four")
        assert receive(second, 4) == b"four"
        first.sendall(b"sixsix")
        with pytest.raises(ConnectionResetError):
            receive(first, 6)
        second.sendall(b"lives on")
        assert receive(second, 8) == b"lives on"
        assert server.received_bytes - before <= 4 + 5 + 8  # of the six at most five crossed
        assert relay.stats().tripped == 1


def test_a_trip_on_connect_resets_the_next_connection_only(relay: Relay) -> None:
    relay.trip(Trip("connect"))
    with pytest.raises(ConnectionResetError), connect(relay.port) as first:  # while it connects, or at once afterwards
        first.recv(1)
    with connect(relay.port) as second:
        second.sendall(b"x")
        assert receive(second, 1) == b"x"
