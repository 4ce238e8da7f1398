"""What the tests of both sides share: small real models, servers in this process and in others, a collector of callbacks."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

from hedgerow import codecs
from hedgerow.cloud.catalogue import Catalogue
from hedgerow.cloud.limits import ServerLimits
from hedgerow.cloud.server import Endpoint, Server
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array, Tensors
from hedgerow.wire import CloudClient, Crossing, Fault, Key, RemoteAnswer

PATIENCE_S = 20.0
"""How long a test waits for what must come; no test passes or fails by how fast it came."""
SECOND_NS = 1_000_000_000


def write_task(folder: Path, *, name: str = "tiny", width: int = 64, segments: int = 4, seed: int = 0) -> Path:
    """A task file with a model of `segments` dense layers of `width`; wide ones are slow. Returns the path of the file."""
    random = np.random.default_rng(seed)
    nodes, weights = [], []
    for index in range(segments):
        before = "x" if index == 0 else f"h{index - 1}"
        after = "y" if index == segments - 1 else f"h{index}"
        values = (random.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{index}"))
        nodes.append(helper.make_node("MatMul", [before, f"w{index}"], [f"m{index}"]))
        nodes.append(helper.make_node("Tanh", [f"m{index}"], [after]))
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["batch", width]) for end in ("x", "y")]
    graph = helper.make_graph(nodes, name, ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / f"{name}.onnx")
    joints = ", ".join(f'"h{index}"' for index in range(segments - 1))
    text = f'[task]\nname = "{name}"\nkind = "tensors"\nreference = "{name}"\n'
    text += f'[[model]]\nname = "{name}"\nfile = "{name}.onnx"\njoints = [{joints}]\n'
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def assert_close(one: Array, other: Array, tolerance: float = 1e-5) -> None:
    """Equal shapes and nearly equal values."""
    np.testing.assert_allclose(one.astype(np.float64), other.astype(np.float64), atol=tolerance)


class Device:
    """The device's half of a task: its chain, and crossings made of what it computed."""

    def __init__(self, task_path: Path) -> None:
        self.task = Task.load(task_path)
        self.name = self.task.reference
        self.chain: Chain = self.task.open(self.name)
        self.last = len(self.chain.segments) - 1
        self._number = 0

    def sample(self, rows: int = 1, seed: int = 1) -> Tensors:
        """A raw sample."""
        width = self.chain.inputs[0].shape[1]
        assert isinstance(width, int)
        return {"x": np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)}

    def alive_after(self, joint: int, sample: Tensors) -> Tensors:
        """What a head computes: the tensors after segment `joint` (the last, if beyond); -1: the sample itself."""
        return sample if joint < 0 else self.chain.run(sample, 0, min(joint, self.last)).tensors

    def crossing(
        self, sample: Tensors, *, joint: int = 0, codec: str = "raw", remaining_s: float = PATIENCE_S, **changes: object
    ) -> Crossing:
        """A crossing with a sample id of its own; `changes` replace fields."""
        self._number += 1
        fields: dict[str, object] = {
            "sample_id": self._number.to_bytes(16, "big"),
            "attempt": 0,
            "task_id": self.task.task_id,
            "model": self.name,
            "chain_id": self.chain.chain_id,
            "joint": joint,
            "last": self.last,
            "codec": codec,
            "calibration_id": "",
            "payload": b"",
            "remaining_ns": int(remaining_s * SECOND_NS),
        }
        if "payload" not in changes:
            fields["payload"] = codecs.get(codec).encode(self.alive_after(joint, sample))
        return Crossing(**(fields | changes))  # type: ignore[arg-type]


@dataclass
class Sent:
    """What came back for one crossing."""

    acks: list[tuple[int, int]] = field(default_factory=list)
    ends: list[RemoteAnswer | Fault] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)
    _acked: threading.Event = field(default_factory=threading.Event)

    def on_ack(self, _: Key, bytes_received: int, now_ns: int) -> None:
        self.acks.append((bytes_received, now_ns))
        self._acked.set()

    def on_end(self, _: Key, end: RemoteAnswer | Fault, now_ns: int) -> None:
        assert now_ns > 0
        self.threads.add(threading.current_thread().name)
        self.ends.append(end)
        self._ended.set()

    def wait_for_ack(self) -> None:
        assert self._acked.wait(PATIENCE_S), "no acknowledgement came"

    def end(self) -> RemoteAnswer | Fault:
        assert self._ended.wait(PATIENCE_S), "the crossing never ended"
        return self.ends[0]

    def answer(self) -> RemoteAnswer:
        end = self.end()
        assert isinstance(end, RemoteAnswer), end
        return end

    def fault(self) -> Fault:
        end = self.end()
        assert isinstance(end, Fault), end
        return end


def send(client: CloudClient, crossing: Crossing) -> Sent:
    """Start a crossing and collect what comes."""
    sent = Sent()
    client.send(crossing, on_ack=sent.on_ack, on_answer=sent.on_end, on_fault=sent.on_end)
    return sent


def probe(client: CloudClient, payload_bytes: int, *, fresh: bool, timeout_s: float) -> tuple[int, int, int] | None:
    """One probe: (rtt_ns, transfer_ns, payload_bytes), or None when it was lost."""
    ended = threading.Event()
    results: list[tuple[int, int, int]] = []

    def on_done(rtt_ns: int, transfer_ns: int, size: int, now_ns: int) -> None:
        results.append((rtt_ns, transfer_ns, size))
        ended.set()

    client.probe(payload_bytes, fresh=fresh, timeout_s=timeout_s, on_done=on_done, on_lost=lambda now_ns: ended.set())
    assert ended.wait(PATIENCE_S), "the probe never ended"
    return results[0] if results else None


class LocalServer:
    """A server in a thread of this process, so that a test can look inside."""

    def __init__(self, task_paths: list[Path], *, limits: ServerLimits | None = None, lanes: int = 1) -> None:
        self.catalogue = Catalogue.load(task_paths)
        self._server = Server(self.catalogue, lanes=lanes, limits=limits)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-server", daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._server.start(Endpoint()), self._loop).result(PATIENCE_S)
        self.address = f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@contextmanager
def local_server(*task_paths: Path, limits: ServerLimits | None = None, lanes: int = 1) -> Iterator[LocalServer]:
    """A LocalServer for a `with` block."""
    server = LocalServer(list(task_paths), limits=limits, lanes=lanes)
    try:
        yield server
    finally:
        server.stop()


class ServerProcess:
    """`hedgerow serve` as a process of its own."""

    def __init__(
        self, *arguments: str | Path, port: int = 0, program: Sequence[str | Path] = ("-m", "hedgerow.cli.main")
    ) -> None:
        command = [sys.executable, *map(str, program), "serve", *map(str, arguments), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"serving on (\S+:(\d+))\n", line)
        if found is None:
            raise AssertionError(f"no ready line, but {line!r}; stderr: {self.process.communicate()[1]}")
        self.address, self.port = found[1], int(found[2])

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


@contextmanager
def server_process(
    *arguments: str | Path, port: int = 0, program: Sequence[str | Path] = ("-m", "hedgerow.cli.main")
) -> Iterator[ServerProcess]:
    """A ServerProcess for a `with` block."""
    server = ServerProcess(*arguments, port=port, program=program)
    try:
        yield server
    finally:
        server.kill()


def sockets_of(pid: int | None = None) -> int:
    """How many sockets a process holds."""
    return len(psutil.Process(pid or os.getpid()).net_connections(kind="tcp"))


def until(holds: object, what: str) -> None:
    """Wait until `holds()` is true."""
    assert callable(holds)
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"it never came about: {what}"
        time.sleep(0.01)
