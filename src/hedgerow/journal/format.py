"""A journal as lines of JSON: a header (what the core was made of) and one line for each step, written and read alike by
whoever drives a core, with real clocks or a virtual one.

Rules: what decides stands in the header or is an event; a line is whole or the file says where it is not; nothing here opens
a thread or waits.
"""

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hedgerow import __version__
from hedgerow.core import Arm, ArmTable, Core, CrossStep, Energy, GateStep, Limits, LocalModel, Margins, Prices, RunStep
from hedgerow.core import records as r
from hedgerow.core.arbitration import Arbitration
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.certificate import Certificate
from hedgerow.core.policies import Policy, by_name
from hedgerow.errors import UsageError

FORMAT = 1
_BEGINNING = b'{"format":'
_EVENTS: dict[str, type[Any]] = {kind.__name__: kind for kind in r.Event.__args__}
_LATER: dict[str, dict[str, int]] = {"Send": {"prefix_bytes": 0, "prefix_after_ns": 0}}
"""What an older version's journal leaves unsaid of an action, and what that stands for."""
_STEPS: dict[str, type[Any]] = {kind.__name__: kind for kind in (RunStep, CrossStep, GateStep)}


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
    arbitration: Arbitration | None = None

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
        if self.arbitration is not None:
            header["arbitration"] = asdict(self.arbitration)
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
                msgspec.convert(raw.get("arbitration"), Arbitration | None),
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
            arbitration=self.arbitration,
        )


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
            for tag, said_of_it in actions:
                for name, value in _LATER.get(tag, {}).items():
                    said_of_it.setdefault(name, value)
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{file}, line {place}: not a step of a journal, or cut short ({error})") from None
        yield number, now_ns, event, msgspec.json.encode([records, actions])
