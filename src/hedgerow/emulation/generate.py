"""Generates courses of emulated links from stated quantiles; `tools/make_links.py` writes the shipped ones with it.

Each quantity follows its quantiles, straight lines between them in (normal score, log value); scores follow an AR(1)
each, and round trip and rates are coupled by one correlation (a Gaussian copula): a poor moment is poor in both. Two
kinds of trouble are laid over that: handovers (a few lost probes, then a round trip that works its backlog off) and
tunnels (nothing for seconds).
Cellular quantiles are the published statistics of US drives by carrier (PAM 2025 multi-carrier data set, CC0-1.0). How
fast the scores wander, how they are coupled, and how often handovers come, is assumed and not fitted to anything. The
Wi-Fi link's figures are assumed throughout.
Rules: the same spec gives the same bytes; randomness is Python's own generator with a stated seed.
"""

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

from hedgerow.emulation.traces import TraceRow

STEP_S: Final = 0.2
_NORMAL: Final = NormalDist()
_LOWEST, _HIGHEST = 0.001, 0.999


@dataclass(frozen=True, slots=True)
class Quantity:
    """A positive quantity: `points` are (probability, value) from low to high, `memory` is the AR(1) factor a step."""

    points: tuple[tuple[float, float], ...]
    memory: float

    def value(self, score: float) -> float:
        """The value at a normal score; beyond the outermost points it stays there."""
        scores = [_NORMAL.inv_cdf(probability) for probability, _ in self.points]
        if score <= scores[0]:
            return self.points[0][1]
        if score >= scores[-1]:
            return self.points[-1][1]
        right = bisect_right(scores, score)
        share = (score - scores[right - 1]) / (scores[right] - scores[right - 1])
        low, high = math.log(self.points[right - 1][1]), math.log(self.points[right][1])
        return math.exp(low + share * (high - low))


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """What a course is made from. `coupling`: the correlation of uplink, downlink and (negated) round trip scores."""

    radio: str
    rtt_ms: Quantity
    uplink_mbps: Quantity
    downlink_mbps: Quantity
    loss: float
    coupling: float
    handover_every_s: float
    seed: int
    duration_s: float = 90.0
    lift: float = 0.0
    """Added to the rates' scores and taken from the round trip's: above 0 for a good stretch."""
    tunnels_s: tuple[tuple[float, float], ...] = ()
    """(begin, end) of spans without any link."""


def _cellular_rtt(p5: float, p50: float, p95: float, p99: float) -> Quantity:
    """The ends beyond p5 and p99 are not published: assumed at 0.8 and twice their values."""
    return Quantity(((_LOWEST, 0.8 * p5), (0.05, p5), (0.5, p50), (0.95, p95), (0.99, p99), (_HIGHEST, 2 * p99)), 0.6)


def _cellular_rate(p5: float, p25: float, p50: float, p75: float, p95: float) -> Quantity:
    """The ends are not published: assumed at a third of p5 and 1.5 times p95."""
    points = ((_LOWEST, p5 / 3), (0.05, p5), (0.25, p25), (0.5, p50), (0.75, p75), (0.95, p95), (_HIGHEST, 1.5 * p95))
    return Quantity(points, 0.98)


VERIZON: Final = LinkSpec(
    radio="cellular-generated",
    rtt_ms=_cellular_rtt(31, 51, 100, 591),
    uplink_mbps=_cellular_rate(0.3, 4.1, 13, 28, 57),
    downlink_mbps=_cellular_rate(0.2, 16, 50, 125, 353),
    loss=0.0064,
    coupling=0.4,
    handover_every_s=60.0,
    seed=0,
)
"""Published: round trip p5/50/95/99, loss, uplink and downlink p5/25/50/75/95 of one carrier."""

ATNT: Final = LinkSpec(
    radio="cellular-generated",
    rtt_ms=_cellular_rtt(36, 60, 116, 245),
    uplink_mbps=_cellular_rate(0.4, 4.2, 11, 24, 56),
    downlink_mbps=_cellular_rate(0.6, 13, 41, 99, 245),
    loss=0.0023,
    coupling=0.4,
    handover_every_s=60.0,
    seed=0,
)
"""The same of another."""

WIFI_SITE: Final = LinkSpec(
    radio="WiFi-assumed",
    rtt_ms=Quantity(((_LOWEST, 1.5), (0.05, 2), (0.5, 4), (0.95, 12), (0.99, 40), (_HIGHEST, 300)), 0.3),
    uplink_mbps=Quantity(((_LOWEST, 5), (0.05, 15), (0.5, 60), (0.95, 150), (_HIGHEST, 200)), 0.95),
    downlink_mbps=Quantity(((_LOWEST, 8), (0.05, 20), (0.5, 80), (0.95, 200), (_HIGHEST, 250)), 0.95),
    loss=0.001,
    coupling=0.4,
    handover_every_s=45.0,
    seed=0,
)
"""A site's Wi-Fi to a box in the building. Every figure is assumed: round numbers, fitted to no data set."""

SHIPPED: Final = {
    "drive-good": replace(VERIZON, seed=1, lift=1.3),
    "drive-mixed": replace(ATNT, seed=2, handover_every_s=30.0),
    "drive-tunnel": replace(VERIZON, seed=3, tunnels_s=((30.0, 36.0), (70.0, 72.0))),
    "wifi-site": replace(WIFI_SITE, seed=4),
}
"""The links that come with Hedgerow, by name."""


def generate(spec: LinkSpec) -> tuple[TraceRow, ...]:
    """The course, one row each 0.2 s. Gaps from handovers come on top of the loss, so total loss is higher."""
    chance = random.Random(spec.seed)
    common, rtt, uplink, downlink = (chance.gauss() for _ in range(4))
    rows: list[TraceRow] = []
    gap_rows = 0
    backlog_ms = 0.0
    for index in range(round(spec.duration_s / STEP_S)):
        time_s = round(index * STEP_S, 1)
        common = _next(chance, common, spec.uplink_mbps.memory)
        rtt = _next(chance, rtt, spec.rtt_ms.memory)
        uplink = _next(chance, uplink, spec.uplink_mbps.memory)
        downlink = _next(chance, downlink, spec.downlink_mbps.memory)
        if chance.random() < STEP_S / spec.handover_every_s:
            gap_rows = chance.randint(1, 3)
            backlog_ms = gap_rows * STEP_S * 1000 * chance.uniform(0.5, 1.0)
        lost = chance.random() < spec.loss or gap_rows > 0
        in_tunnel = any(begin <= time_s < end for begin, end in spec.tunnels_s)
        rtt_ms = spec.rtt_ms.value(_mix(-common, rtt, spec.coupling) - spec.lift)
        if not lost and not in_tunnel:
            rtt_ms, backlog_ms = rtt_ms + backlog_ms, max(0.0, backlog_ms - STEP_S * 1000)
        rows.append(
            TraceRow(
                time_s=time_s,
                rtt_ms=None if lost or in_tunnel else round(rtt_ms, 1),
                uplink_mbps=round(spec.uplink_mbps.value(_mix(common, uplink, spec.coupling) + spec.lift), 2),
                downlink_mbps=round(spec.downlink_mbps.value(_mix(common, downlink, spec.coupling) + spec.lift), 2),
                radio=spec.radio,
            )
        )
        gap_rows -= gap_rows > 0
    return tuple(rows)


def _next(chance: random.Random, score: float, memory: float) -> float:
    return memory * score + math.sqrt(1 - memory * memory) * chance.gauss()


def _mix(common: float, own: float, coupling: float) -> float:
    """A normal score with correlation `coupling` to every other one that is mixed from the same `common`."""
    return math.sqrt(coupling) * common + math.sqrt(1 - coupling) * own


def to_csv(rows: tuple[TraceRow, ...]) -> str:
    """The rows in the form that `traces` reads."""
    lines = ["time_s,rtt_ms,uplink_mbps,radio,downlink_mbps"]
    for row in rows:
        rtt = "" if row.rtt_ms is None else f"{row.rtt_ms:.1f}"
        lines.append(f"{row.time_s:.1f},{rtt},{row.uplink_mbps:.2f},{row.radio},{row.downlink_mbps or 0.0:.2f}")
    return "\n".join(lines) + "\n"
