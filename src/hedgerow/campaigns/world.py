"""The campaign's processes: server, emulated link, device, and whoever plays a part in a fault; each by its own handle.

Rules: server, link and device live on for many trials, so that what a trial leaves behind adds up; every process is started here, ends here,
and is known here, so that one that is left over is seen.
"""

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hedgerow.campaigns.footprint import Footprint
from hedgerow.campaigns.small_task import Given
from hedgerow.demo.processes import Child, two_cores
from hedgerow.errors import HostError

START_S = 60.0
CLEAR = "set uplink_mbps=25 downlink_mbps=30 rtt_ms=20"


class DeviceLost(HostError):
    """The device's process died or no longer speaks: none of its requests is answered any more."""


class Device:
    """The device's process, spoken to in lines of JSON."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._heard: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        return self.child.pid

    def order(self, do: str, **fields: object) -> None:
        """Tell it what to do."""
        try:
            self.child.order(json.dumps({"do": do, **fields}))
        except HostError as error:
            raise DeviceLost(str(error)) from None

    def await_said(self, word: str, timeout_s: float) -> dict[str, Any] | None:
        """The first thing of this name that it says, or has said; None if it does not within the time."""
        end_s = time.monotonic() + timeout_s
        while True:
            for place, said in enumerate(self._heard):
                if said["said"] == word:
                    return self._heard.pop(place)
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return None
            select.select([self.child.fd], [], [], left_s)
            self._heard += [json.loads(line) for line in self.child.lines()]
            if self.child.at_end and not any(said["said"] == word for said in self._heard):
                raise DeviceLost(f"the device ended; see {self.child.log}")

    def forget(self) -> None:
        """What was said so far is of no interest any more."""
        self._heard += [json.loads(line) for line in self.child.lines()]
        self._heard.clear()


class World:
    """Everything that runs. `folder` takes logs and, in given.json, what the device needs; close it at the end."""

    def __init__(self, given: Given, folder: Path, *, factor: float) -> None:
        self.given, self.folder, self.factor = given, folder, factor
        self.device_core, self.other_core = two_cores()
        paths = {name: str(getattr(given, name).absolute()) for name in ("task", "profile", "frames")}
        (folder / "given.json").write_text(json.dumps(paths))
        self.server: Child | None = None
        self.device: Device | None = None
        self.server_level: Footprint | None = None
        self.port = 0
        self._relay: Child | None = None
        self._helpers: list[Child] = []
        self._environment: dict[str, str] = {}

    def start(self) -> None:
        """Server and link."""
        self.start_server()
        self.await_server()
        words = ["hedgerow.cli.main", "link", "--to", f"127.0.0.1:{self.port}", "--control", "stdin"]
        self._relay = Child("relay", words, core=self.other_core, log=self.folder / "relay.log")
        self.address = self._relay.await_line("relaying ", timeout_s=START_S).split()[1]
        self.shape(CLEAR)

    # ---------------------------------------------------------------------------------------------------------- server

    def start_server(self) -> None:
        """Begin to start it, on the port it had."""
        words = ["hedgerow.cli.main", "serve", str(self.given.task), "--port", str(self.port)]
        self.server = Child("server", words, core=self.other_core, log=self.folder / "server.log")

    def await_server(self) -> None:
        """Until it serves."""
        assert self.server is not None
        line = self.server.await_line("serving on ", timeout_s=START_S)
        self.port = int(line.rpartition(":")[2])
        self.server_level = None  # a new process: what it holds is measured when the next trial begins

    def kill_server(self) -> None:
        """As a crash would."""
        assert self.server is not None
        self.server.kill()
        self.server = None

    def signal_server(self, number: int) -> None:
        """Stop it, let it go on."""
        assert self.server is not None
        self.server.signal(number)

    # ------------------------------------------------------------------------------------------------- link and helpers

    def shape(self, order: str) -> str:
        """One order to the link; returns its answer. HostError when it is refused."""
        assert self._relay is not None
        self._relay.order(order)
        answer = self._relay.await_line("", timeout_s=5.0)
        if not answer.startswith("ok"):
            raise HostError(f"the emulated link refused '{order}': {answer}")
        return answer

    def link_stats(self) -> dict[str, Any]:
        """The link's counts."""
        found: dict[str, Any] = json.loads(self.shape("stats").removeprefix("ok stats "))
        return found

    @contextlib.contextmanager
    def helper(self, name: str, words: list[str], *, says: str, core: int | None) -> Iterator[Child]:
        """A process that plays a part in a fault, for as long as the block lasts."""
        child = Child(name, words, core=core, log=self.folder / f"{name}.log")
        self._helpers.append(child)
        try:
            child.await_line(says, timeout_s=START_S)
            yield child
        finally:
            child.kill()
            self._helpers.remove(child)

    # ---------------------------------------------------------------------------------------------------------- device

    def need_device(self, environment: Mapping[str, str]) -> bool:
        """See that a device of this environment is there; True if a fresh one had to be started for it."""
        if self.device is not None and environment == self._environment:
            return False
        self.stop_device()
        self.start_device(environment)
        return True

    def start_device(self, environment: Mapping[str, str] | None = None) -> Device:
        """A fresh device."""
        self._environment = dict(environment or {})
        words = ["hedgerow.campaigns.device", str(self.folder), self.address, str(self.factor)]
        log = self.folder / "device.log"
        child = Child("device", words, core=self.device_core, log=log, environment=environment)
        self.device = Device(child)
        if self.device.await_said("started", START_S) is None:
            raise HostError(f"the device does not start; see {log}")
        return self.device

    def stop_device(self) -> None:
        """It ends, by itself if it can."""
        device, self.device = self.device, None
        if device is None:
            return
        try:
            device.order("quit")
            device.child.ended(5.0)
        except (DeviceLost, HostError):
            device.child.kill()

    # ------------------------------------------------------------------------------------------------------------- end

    def pids(self) -> set[int]:
        """The processes that should be there."""
        device = self.device.child if self.device else None
        return {child.pid for child in (self.server, self._relay, device, *self._helpers) if child is not None}

    def listens(self, port: int) -> bool:
        """Whether somebody accepts connections there."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return True
        return False

    def close(self) -> None:
        """End everything."""
        self.stop_device()
        for child in (*self._helpers, self._relay, self.server):
            if child is not None:
                child.stop()
        self._helpers.clear()
        self._relay = self.server = None
