"""Measures the wire on this machine: round trips over loopback, and recovery after an emulated link was cut.

    python bench/wire.py            # a server process of its own; prints a table
    python bench/wire.py --quick    # seconds instead of a minute; --seconds and --dark choose otherwise

`crossing`: 100 kB of raw tensors up, 1 kB down, with the model's one small segment; `wire` is that less the server's
own queue, decode and compute time. `floor` is a bare grpc.aio stream in the same messages. The link of `recovery` is
emulated (a relay in this process): seconds from the link's return until a crossing was answered, probing fresh twice a
second as a device does. `seals` is what both sides spend on sealing and checking one crossing, all its acknowledgements among
it, beside the crossing of the same bytes in the same run: 15 kB is a photograph as JPEG, 600 kB a raw frame.
"""

import argparse
import asyncio
import contextlib
import queue
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import onnx
from grpc import aio
from onnx import TensorProto, helper

from hedgerow import codecs
from hedgerow.emulation.relay import Relay
from hedgerow.models.task import Task
from hedgerow.wire import CloudClient, Crossing, Fault, RemoteAnswer
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import CHUNK_BYTES_MAX
from hedgerow.wire.messages import opening
from hedgerow.wire.seal import (
    check_ack,
    check_answer,
    check_content,
    check_opening,
    sealed_ack,
    sealed_answer,
    sealed_opening,
)

PAYLOAD_BYTES = 100_000
SENT = (1024, 65_536, 33_440)
SEALED_FLOATS = {"15 kB": 3_750, "600 kB": 150_000}
PORT_LINE = re.compile(r"serving on \S+:(\d+)")


def write_model(folder: Path) -> Path:
    """Any number of floats in, the first 250 out: what is measured is the wire."""
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n"])]
    outs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 250])]
    numbers = [helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("a", 0), ("b", 250), ("axis", 1))]
    node = helper.make_node("Slice", ["x", "a", "b", "axis"], ["y"])
    graph = helper.make_graph([node], "slice", ends, outs, numbers)
    path = folder / "slice.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@contextlib.contextmanager
def serving(*command: str) -> Iterator[int]:
    """A server process; its port."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = PORT_LINE.search(process.stdout.readline())
    assert found is not None
    try:
        yield int(found[1])
    finally:
        process.terminate()
        process.wait()


class Sender:
    """Sends one crossing at a time and waits for its end."""

    def __init__(self, client: CloudClient, path: Path, floats: int = 25_000) -> None:
        self._client = client
        self._task = Task.of_model(path)
        with self._task.open("slice") as chain:
            self._chain_id = chain.chain_id
        self._payload = codecs.get("raw").encode({"x": np.ones((1, floats), np.float32)})
        self._number = 0

    def crossing(self, remaining_s: float = 5.0) -> Crossing:
        """The next one."""
        self._number += 1
        return Crossing(
            sample_id=self._number.to_bytes(16, "big"),
            attempt=0,
            task_id=self._task.task_id,
            model="slice",
            chain_id=self._chain_id,
            joint=0,
            last=1,
            codec="raw",
            calibration_id="",
            payload=self._payload,
            remaining_ns=int(remaining_s * 1e9),
        )

    def once(self, remaining_s: float = 5.0) -> RemoteAnswer | Fault:
        ends: queue.SimpleQueue[RemoteAnswer | Fault] = queue.SimpleQueue()
        self._client.send(
            self.crossing(remaining_s),
            on_ack=lambda key, size, now_ns: None,
            on_answer=lambda key, answer, now_ns: ends.put(answer),
            on_fault=lambda key, fault, now_ns: ends.put(fault),
        )
        return ends.get()

    def probe(self, size: int, *, fresh: bool, timeout_s: float = 5.0) -> bool:
        ends: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._client.probe(
            size, fresh=fresh, timeout_s=timeout_s, on_done=lambda *_: ends.put(True), on_lost=lambda _: ends.put(False)
        )
        return ends.get()


def report(name: str, times_us: list[float]) -> None:
    """One line of the table."""
    p50, p99 = np.quantile(times_us, [0.5, 0.99])
    print(f"{name:<28} {p50:>9.0f} {p99:>9.0f} {min(times_us):>9.0f} {len(times_us):>7}")


def repeat(seconds: float, once: Callable[[], float]) -> list[float]:
    """Call `once`, which returns microseconds, for that long."""
    end = time.perf_counter() + seconds
    times = [once() for _ in range(20)][:0]
    while time.perf_counter() < end:
        times.append(once())
    return times


def measure_wire(sender: Sender, seconds: float) -> None:
    """Crossings and probes over loopback."""
    inside: list[float] = []

    def crossing() -> float:
        begun = time.perf_counter_ns()
        answer = sender.once()
        took = time.perf_counter_ns() - begun
        assert isinstance(answer, RemoteAnswer), answer
        inside.append((answer.queue_ns + answer.decode_ns + answer.compute_ns) / 1e3)
        return took / 1e3

    def probing(size: int) -> Callable[[], float]:
        def once() -> float:
            begun = time.perf_counter_ns()
            assert sender.probe(size, fresh=False)
            return (time.perf_counter_ns() - begun) / 1e3

        return once

    whole = repeat(seconds, crossing)
    report("crossing 100 kB", whole)
    report("  of it wire", [a - b for a, b in zip(whole, inside[-len(whole) :], strict=True)])
    report("probe 100 kB, bulk", repeat(seconds, probing(PAYLOAD_BYTES)))
    report("probe 0 B, control", repeat(seconds, probing(0)))


def seal_once(crossing: Crossing, reply: bytes) -> float:
    """Microseconds of both sides' sealing and checking of one crossing, its acknowledgements and its answer."""
    unsealed = opening(crossing, remaining_ns=crossing.remaining_ns, session=bytes(8), sequence=1)
    answer, size = pb.Answer(last=1, payload=reply, batch=1), len(crossing.payload)
    ends = [*range(1024, size, CHUNK_BYTES_MAX), size]
    begun = time.perf_counter_ns()
    sealed = sealed_opening(unsealed, crossing.payload)
    check_opening(sealed)
    check_content(sealed, crossing.payload)
    for acked, end in zip([0, *ends], ends, strict=False):
        check_ack(sealed, sealed_ack(sealed, end), acked_bytes=acked, sent_bytes=size)
    check_answer(sealed, sealed_answer(sealed, answer))
    return (time.perf_counter_ns() - begun) / 1e3


def measure_seals(client: CloudClient, path: Path, seconds: float) -> None:
    """What the safety layer costs, beside the crossing that it is a part of."""
    for name, floats in SEALED_FLOATS.items():
        sender = Sender(client, path, floats)

        def crossing(sender: Sender = sender) -> float:
            begun = time.perf_counter_ns()
            answer = sender.once()
            assert isinstance(answer, RemoteAnswer), answer
            return (time.perf_counter_ns() - begun) / 1e3

        made, reply = sender.crossing(), codecs.get("raw").encode({"y": np.ones((1, 250), np.float32)})
        whole = repeat(seconds, crossing)
        seals = repeat(seconds, lambda made=made, reply=reply: seal_once(made, reply))  # type: ignore[misc]
        report(f"crossing {name}", whole)
        report("  of it seals", seals)
        print(f"  seals / crossing, medians: {100 * np.median(seals) / np.median(whole):.1f} %")


async def _echo(_: object, context: "aio.ServicerContext[bytes, bytes]") -> None:
    received = 0
    while received < sum(SENT):
        data = await context.read()
        assert isinstance(data, bytes)
        received += len(data)
        await context.write(b"ack")
    await context.write(bytes(1000))


async def serve_floor() -> None:
    """A bare stream: the least that grpc.aio can do with these messages."""
    server = aio.server()
    method = grpc.stream_stream_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Floor", {"Echo": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"serving on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


async def measure_floor(port: int, seconds: float) -> list[float]:
    """Round trips of the bare stream in microseconds."""
    times: list[float] = []
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        start = channel.stream_stream("/Floor/Echo", None, None)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begun = time.perf_counter_ns()
            call = start()  # type: ignore[call-arg]  # the request iterator is optional
            for size in SENT:
                await call.write(bytes(size))
            for _ in range(len(SENT) + 1):
                await call.read()
            times.append((time.perf_counter_ns() - begun) / 1e3)
            await call.code()
    return times


def measure_recovery(port: int, path: Path, dark_s: float) -> float:
    """Seconds from the link's return to an answer, the link having been dark for `dark_s` (emulated)."""
    relay = Relay("127.0.0.1", port)
    relay.start()
    try:
        with CloudClient(f"127.0.0.1:{relay.port}") as client:
            sender = Sender(client, path)
            assert isinstance(sender.once(), RemoteAnswer)
            relay.blackout(True)
            end = time.perf_counter() + dark_s
            while time.perf_counter() < end:
                sender.probe(1000, fresh=True, timeout_s=min(0.5, max(end - time.perf_counter(), 0.01)))
            begun = time.perf_counter()
            relay.blackout(False)
            while not (sender.probe(1000, fresh=True, timeout_s=0.5) and isinstance(sender.once(), RemoteAnswer)):
                assert time.perf_counter() < begun + 30
            return time.perf_counter() - begun
    finally:
        relay.stop()


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="for each line of the table (3)")
    parser.add_argument("--dark", type=float, nargs="*", help="seconds of each blackout (1 5 30)")
    parser.add_argument("--quick", action="store_true", help="0.5 seconds for each line, one short blackout")
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.floor:
        asyncio.run(serve_floor())
        return
    seconds = options.seconds or (0.5 if options.quick else 3.0)
    blackouts = options.dark if options.dark is not None else [1.0] if options.quick else [1.0, 5.0, 30.0]
    print(f"{'microseconds':<28} {'p50':>9} {'p99':>9} {'min':>9} {'count':>7}")
    with serving(__file__, "--floor") as port:
        report("floor 100 kB", asyncio.run(measure_floor(port, seconds)))
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(Path(folder))
        with serving("-m", "hedgerow.cli.main", "serve", str(path), "--port", "0") as port:
            with CloudClient(f"127.0.0.1:{port}") as client:
                measure_wire(Sender(client, path), seconds)
                measure_seals(client, path, seconds)
            for dark_s in blackouts:
                print(f"recovery after {dark_s:g} s dark (emulated link): {measure_recovery(port, path, dark_s):.2f} s")


if __name__ == "__main__":
    main()
