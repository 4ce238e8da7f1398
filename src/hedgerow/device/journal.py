"""The journal: a header (what the core was made of) and one line for each step, from which every decision can be replayed.

Lines are JSON, written by a thread of its own so that a slow disk delays nothing. A full disk ends the journal, says so
once, and costs no answer. `replay` builds the core from the header, puts every event through it and compares outcomes
byte for byte.
"""

import platform
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hedgerow import __version__
from hedgerow.core import Arm, ArmTable, Core, CrossStep, Energy, GateStep, Limits, LocalModel, Margins, Prices, RunStep
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.certificate import Certificate
from hedgerow.core.policies import Policy, by_name
from hedgerow.errors import HostError, UsageError

FORMAT = 1
_BEGINNING = b'{"format":'
_EVENTS: dict[str, type[Any]] = {kind.__name__: kind for kind in r.Event.__args__}
_STEPS: dict[str, type[Any]] = {kind.__name__: kind for kind in (RunStep, CrossStep, GateStep)}
_LINES_MAX = 100_000
BYTES_MAX = 4 << 30
"""About three million requests: a journal that nobody looks after fills no disk."""


def line(number: int, now_ns: int, event: r.Event, outcome: r.Outcome) -> bytes:
    """One step as a line of JSON."""
    return msgspec.json.encode([number, now_ns, _tagged(event), *said(outcome)]) + b"\n"


def versions() -> dict[str, str]:
    """What equal bytes on replay are promised for, beside the header's settings."""
    found = {"hedgerow": __version__, "numpy": np.__version__}
    return {**found, "python": platform.python_version(), "processor": platform.machine()}


def said(outcome: r.Outcome) -> list[list[Any]]:
    """Records and actions, each as [class, fields]."""
    return [[_tagged(each) for each in outcome.records], [_tagged(each) for each in outcome.actions]]


def _tagged(value: object) -> list[object]:
    return [type(value).__name__, value]


@dataclass(frozen=True, slots=True)
class Header:
    """Everything that decides what the core decides."""

    table: ArmTable
    policy: str
    limits: Limits
    margins: Margins
    prices: Prices
    budgets: BudgetSettings
    certificate: Certificate | None = None

    def encode(self) -> bytes:
        table = {
            "arms": [
                {"name": arm.name, "quality": arm.quality, "steps": [_tagged(step) for step in arm.steps]}
                for arm in self.table.arms
            ],
            "locals": self.table.locals,
            "energy": self.table.energy,
            "money_per_mb": self.table.money_per_mb,
            "money_per_cloud_s": self.table.money_per_cloud_s,
        }
        rest = {name: asdict(getattr(self, name)) for name in ("limits", "margins", "prices", "budgets")}
        header = {"format": FORMAT, "versions": versions(), "policy": self.policy, "table": table, **rest}
        header["certificate"] = None if self.certificate is None else asdict(self.certificate)
        return msgspec.json.encode(header) + b"\n"

    @classmethod
    def decode(cls, text: bytes) -> "Header":
        """Read a header line; UsageError when it is not one of this format."""
        try:
            raw = msgspec.json.decode(text)
            if raw["format"] != FORMAT:
                raise UsageError(f"the journal has format {raw['format']}; this version reads format {FORMAT}")
            table = raw["table"]
            arms = tuple(
                Arm(
                    arm["name"], tuple(msgspec.convert(step, _STEPS[tag]) for tag, step in arm["steps"]), arm["quality"]
                )
                for arm in table["arms"]
            )
            locals_ = msgspec.convert(table["locals"], tuple[LocalModel, ...])
            energy = msgspec.convert(table["energy"], Energy)
            return cls(
                ArmTable(arms, locals_, energy, table["money_per_mb"], table["money_per_cloud_s"]),
                raw["policy"],
                msgspec.convert(raw["limits"], Limits),
                msgspec.convert(raw["margins"], Margins),
                msgspec.convert(raw["prices"], Prices),
                msgspec.convert(raw["budgets"], BudgetSettings),
                msgspec.convert(raw.get("certificate"), Certificate | None),
            )
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not a journal of Hedgerow: its first line does not read as a header ({error})") from None

    def core(self, policy: Policy | None = None) -> Core:
        """A fresh core made of exactly this; `policy` None: the one that has this name."""
        return Core(
            self.table,
            policy=policy or by_name(self.policy),
            limits=self.limits,
            margins=self.margins,
            prices=self.prices,
            budgets=self.budgets,
            certificate=self.certificate,
        )


class Journal:
    """Appends steps to `path` from its own thread, at most `bytes_max` bytes of whole lines. `failure` is set, and said on
    stderr once, when that is reached or the disk refuses."""

    def __init__(self, path: str | Path, header: Header, *, bytes_max: int = BYTES_MAX) -> None:
        self._path, self.header = Path(path), header
        try:
            self._file = self._path.open("wb", buffering=1 << 20)
        except OSError as error:
            raise HostError(f"cannot write the journal {self._path}: {error.strerror}; choose another place") from None
        first = header.encode()
        self._left_bytes = bytes_max - len(first)
        self._bytes_max = bytes_max
        self._file.write(first)  # as all else, it goes to the disk on the thread below
        self.failure: str | None = None
        self.lost = 0
        self._lines: deque[tuple[int, int, r.Event, r.Outcome]] = deque()
        self._due = threading.Event()
        self._closed = False
        self._number = 0
        self._thread = threading.Thread(target=self._serve, name="hedgerow-journal", daemon=True)
        self._thread.start()

    def append(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        """Keep one step; never blocks. What cannot be kept is counted in `lost`; after a gap nothing more is kept."""
        if self.failure is not None or self.lost or len(self._lines) >= _LINES_MAX:
            self.lost += 1
            return
        self._lines.append((self._number, now_ns, event, outcome))
        self._number += 1

    def close(self) -> None:
        """Write what is left and close the file; a full disk has been told already."""
        self._closed = True
        self._due.set()
        self._thread.join(10.0)
        try:
            self._file.close()
        except OSError as error:
            self._fail(f"{error.strerror}; free some space")

    def _serve(self) -> None:
        while True:
            self._due.wait(0.25)
            closed = self._closed
            try:
                while self._lines:
                    self._keep(line(*self._lines.popleft()))
                self._file.flush()
                if self.lost:
                    self._fail("the disk is too slow for it")
            except OSError as error:
                self._fail(f"{error.strerror}; free some space")
            if closed:
                return

    def _keep(self, text: bytes) -> None:
        self._left_bytes -= len(text)
        if self._left_bytes < 0:
            self._fail(f"it has the {self._bytes_max} bytes that it may have; begin another")
        if self.failure is None:
            self._file.write(text)

    def _fail(self, why: str) -> None:
        if self.failure is None:
            self.failure = f"the journal {self._path} ends here: {why}. Answers go on. [at fault: {HostError.at_fault}]"
            print(f"hedgerow: {self.failure}", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Replayed:
    """`difference` is None when every step came out equal; else the first that did not, told in words."""

    steps: int
    decisions: int
    difference: str | None


def read_steps(path: str | Path) -> tuple[Header, Iterator[tuple[int, int, r.Event, bytes]]]:
    """Header and steps (number, now_ns, event, outcome as JSON); a truncated last line is told with its number."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the journal {file}: {error.strerror}") from None
    lines = data.splitlines()
    if not lines:
        raise UsageError(f"{file} is empty: not a journal of Hedgerow")
    if _ends_in_header(data):
        raise UsageError(f"{file} is cut short within its first line: there is nothing in it to replay")
    return Header.decode(lines[0]), _steps(file, lines)


def _ends_in_header(data: bytes) -> bool:
    """Whether this is the beginning of a header, and no more."""
    if b"\n" in data or data[: len(_BEGINNING)] != _BEGINNING[: len(data)]:
        return False
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        return True
    return False


def recorded_versions(path: str | Path) -> dict[str, str]:
    """The versions in a journal's header; empty in one that names none."""
    with Path(path).open("rb") as file:
        found = msgspec.json.decode(file.readline()).get("versions", {})
    return found if isinstance(found, dict) else {}


def _steps(file: Path, lines: list[bytes]) -> Iterator[tuple[int, int, r.Event, bytes]]:
    for place, text in enumerate(lines[1:], start=2):
        try:
            number, now_ns, (tag, fields), records, actions = msgspec.json.decode(text)
            event = msgspec.convert(fields, _EVENTS[tag])
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{file}, line {place}: not a step of a journal, or cut short ({error})") from None
        yield number, now_ns, event, msgspec.json.encode([records, actions])


def replay(path: str | Path, policy: Policy | None = None) -> Replayed:
    """Put every event of a journal through a fresh core and compare what it says. `policy`: the fresh one of a session that was
    given its own (behind `Guarded`, as it was there); None: the one that has the name in the header."""
    header, steps = read_steps(path)
    core, recorded = header.core(policy), recorded_versions(path)
    count = decisions = 0
    for number, now_ns, event, before in steps:
        outcome = core.step(event, now_ns=now_ns)
        now = msgspec.json.encode(said(outcome))
        if now != before:
            others = "" if recorded == versions() else f" (recorded with {recorded}, replayed with {versions()})"
            return Replayed(count, decisions, f"step {number}: was {before.decode()}, is {now.decode()}{others}")
        count += 1
        decisions += sum(isinstance(each, r.Decision) for each in outcome.records)
    return Replayed(count, decisions, None)
