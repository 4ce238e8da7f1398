"""What a live view knows: the feed's messages folded into counters and the last few answers. No drawing here."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hedgerow.core.records import Status
from hedgerow.views.kinds import Kind, kind_of

SHOTS_MAX = 4000


@dataclass(frozen=True, slots=True)
class Shot:
    """One answer: when (ms since the start), how old, by whom, and whether it missed its deadline."""

    t_ms: float
    age_ms: float
    kind: Kind
    late: bool


@dataclass(slots=True)
class LinkState:
    """What is believed of the link: the breaker's state, and the last observation."""

    state: str = "not heard of yet"
    round_trip_ms: float | None = None
    mbit_per_s: float | None = None
    lost: int = 0
    lost_at_ms: float | None = None


@dataclass(slots=True)
class ViewState:
    """Folded by `take`; message fields that are missing count as unknown, unknown kinds are skipped."""

    deadline_ms: float = 100.0
    title: str = ""
    now_ms: float = 0.0
    arm: str = ""
    reason: str = ""
    slack_ms: float | None = None
    predicted_ms: float | None = None
    link: LinkState = field(default_factory=LinkState)
    shots: deque[Shot] = field(default_factory=lambda: deque(maxlen=SHOTS_MAX))
    answers: int = 0
    late: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[Kind] = field(default_factory=Counter)
    uplink_bytes: int = 0
    energy_mj: float = 0.0
    bounds_exceeded: int = 0
    mode: str = ""
    note: str = ""
    ended: bool = False

    def take(self, message: Mapping[str, Any]) -> None:
        """Fold one message of the feed."""
        self.now_ms = max(self.now_ms, float(message["t_ms"]))
        match message["kind"]:
            case "start":
                self.deadline_ms = float(message.get("deadline_ms", self.deadline_ms))
                self.title = str(message.get("title", self.title))
            case "decision":
                self.arm, self.reason = str(message.get("arm", "")), str(message.get("reason", ""))
                self.slack_ms, self.predicted_ms = message.get("slack_ms"), message.get("predicted_ms")
            case "answer":
                self._answer(message)
            case "link":
                self.link.state = str(message.get("state", ""))
            case "observed":
                self._observed(message)
            case "bound":
                self.bounds_exceeded += 1
            case "mode":
                proven = "" if message.get("certified") else ", not certified"
                self.mode = f"{message.get('mode', '')}{proven} ({message.get('because', '')})"
            case "note":
                self.note = str(message.get("text", ""))
            case "end":
                self.ended = True
            case _:
                pass

    def _answer(self, message: Mapping[str, Any]) -> None:
        status, age_ms = str(message.get("status", "")), float(message.get("age_ms", 0.0))
        kind = kind_of(str(message.get("source", "")), str(message.get("arm", "")), str(message.get("reason", "")))
        late = status not in (Status.ANSWERED, Status.SAFE_VALUE) or age_ms > self.deadline_ms
        self.shots.append(Shot(float(message["t_ms"]), age_ms, kind, late))
        self.answers += 1
        self.late += late
        self.statuses[status] += 1
        self.kinds[kind] += 1
        self.uplink_bytes += int(message.get("uplink_bytes", 0))
        self.energy_mj += float(message.get("energy_mj", 0.0))

    def _observed(self, message: Mapping[str, Any]) -> None:
        if message.get("lost"):
            self.link.lost += 1
            self.link.lost_at_ms = float(message["t_ms"])
            return
        self.link.round_trip_ms = message.get("round_trip_ms")
        rate = message.get("mbit_per_s")
        if rate:  # 0: too short a crossing to tell
            self.link.mbit_per_s = rate
