"""The generated links that come with Hedgerow, by name, each with its source; what no source states is assumed, and said so.

Cellular. Statistics of US highway drives by carrier (NUWiNS/pam2025-multi-carrier-dataset, CC0-1.0): round trip p5/50/95/99,
uplink and downlink p5/25/50/75/95, share of lost probes. `cellular` is fitted to 49 of these drives; its file says to which.
Wired. "Time Sensitive Networking", results of the project Vernetzte Adaptive Produktion
(vernetzte-adaptive-produktion.de/en/Results/tsn.html, read 2026): mean and greatest jitter of best effort (15,666 and 119,753 ns)
and of IEEE 802.1Qbv (63 and 1,000,003 ns: once a frame missed its window and left one cycle later).
Fibre. OneNeck, "Estimating WAN Latency" (oneneck.com/blog/estimating-wan-latency-requirements): 124 miles a ms of light in fibre, and one ms
each way for all switches and routers of a typical wide-area circuit.
Private 5G. Rischke et al., "5G Campus Networks: A First Measurement Study", IEEE Access 9 (2021), doi 10.1109/ACCESS.2021.3108423,
its abstract: 95 % of the one-way download delays of a standalone campus network are within 4 to 10 ms.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Final

from hedgerow.errors import UsageError
from hedgerow.simulation.links.document import of_toml
from hedgerow.simulation.links.model import Delay, Gaps, LinkModel, Loss, Rates, Source

_PAM: Final = "NUWiNS/pam2025-multi-carrier-dataset, statistics of all drives of this carrier"
_ASSUMED_CELLULAR: Final = (
    "assumed: how long a state of the rate lasts, memories, mean burst, handovers, and the ends of the distributions "
    "(0.8 of p5 and twice p99 of the round trip; a third of p5 and 1.5 times p95 of the rates)"
)
STATES_OF_FIVE: Final = (0.05, 0.2, 0.25, 0.25, 0.2, 0.05)
"""The share of time between published quantiles p5, p25, p50, p75 and p95."""


@cache
def published(name: str) -> LinkModel:
    """The model of this name. UsageError lists the names there are."""
    if name not in _MAKERS:
        raise UsageError(f"there is no generated link {name!r}: one of {', '.join(names())}")
    return _MAKERS[name]()


def names() -> tuple[str, ...]:
    """The names, in alphabetical order."""
    return tuple(sorted(_MAKERS))


def chain(shares: Sequence[float], stays_s: float, step_s: float) -> tuple[tuple[float, ...], ...]:
    """Transitions between neighbours whose long-run distribution is `shares` (add up to 1), after Metropolis et al. (1953).

    A state of an average share lasts about `stays_s` seconds.
    """
    pace = step_s / stays_s / 2
    table = []
    for state, share in enumerate(shares):
        row = [0.0] * len(shares)
        for other in (state - 1, state + 1):
            if 0 <= other < len(shares):
                row[other] = pace * min(1.0, shares[other] / share)
        row[state] = 1 - sum(row)
        table.append(tuple(row))
    return tuple(table)


def _between(*edges: float) -> tuple[tuple[float, float], ...]:
    """One state between each two edges; straight in the logarithm."""
    return tuple(pairwise(edges))


def _cellular(
    name: str,
    rtt_ms: tuple[float, float, float, float],
    up: tuple[float, float, float, float, float],
    down: tuple[float, float, float, float, float],
    lost: float,
) -> LinkModel:
    """Lost probes come in bursts of 1.5 on average; a handover each three minutes is a part of the stated loss.

    Handovers raise no round trip here: the stated quantiles hold what they raised.
    """
    p5, p50, p95, p99 = rtt_ms
    step_s, end = 0.2, 1 / 1.5
    gaps = Gaps(per_hour=20.0, mean_s=0.4)
    share = max(0.0, lost - gaps.per_hour * gaps.mean_s / 3600)
    return LinkModel(
        name=name,
        radio="cellular-generated",
        step_s=step_s,
        rates=Rates(
            fast_memory=0.9,
            points=(0.0, 1.0),
            transitions=chain(STATES_OF_FIVE, 10.0, step_s),
            up_mbps=_between(up[0] / 3, *up, up[4] * 1.5),
            down_mbps=_between(down[0] / 3, *down, down[4] * 1.5),
        ),
        delay=Delay(
            points=((0.001, 0.8 * p5), (0.05, p5), (0.5, p50), (0.95, p95), (0.99, p99), (0.999, 2 * p99)),
            longest_ms=2 * p99,
            slow_share=0.75,
            slow_memory=0.99,
        ),
        loss=Loss(begin=share / (1 - share) * end, end=end),
        gaps=gaps,
        source=Source("published", f"{_PAM}; {_ASSUMED_CELLULAR}", licence="CC0-1.0"),
    )


def _verizon() -> LinkModel:
    """Round trip p5/50/95/99 31/51/100/591 ms, loss 0.64 %, uplink 0.3/4.1/13/28/57, downlink 0.2/16/50/125/353 Mbit/s."""
    rates = (0.3, 4.1, 13.0, 28.0, 57.0), (0.2, 16.0, 50.0, 125.0, 353.0)
    return _cellular("cellular-verizon", (31.0, 51.0, 100.0, 591.0), *rates, 0.0064)


def _atnt() -> LinkModel:
    """Round trip p5/50/95/99 36/60/116/245 ms, loss 0.23 %, uplink 0.4/4.2/11/24/56, downlink 0.6/13/41/99/245 Mbit/s."""
    rates = (0.4, 4.2, 11.0, 24.0, 56.0), (0.6, 13.0, 41.0, 99.0, 245.0)
    return _cellular("cellular-atnt", (36.0, 60.0, 116.0, 245.0), *rates, 0.0023)


def _tmobile() -> LinkModel:
    """Round trip p5/50/95/99 37/55/151/273 ms, loss 0.72 %. The source here states no rates of this carrier.

    Assumed: the rates are the means of the two others' quantiles.
    """
    rates = (0.35, 4.15, 12.0, 26.0, 56.5), (0.4, 14.5, 45.5, 112.0, 299.0)
    return _cellular("cellular-tmobile", (37.0, 55.0, 151.0, 273.0), *rates, 0.0072)


def _fitted_cellular() -> LinkModel:
    """Fitted to the drives that cellular.toml names, by `hedgerow link fit`."""
    text = (resources.files("hedgerow.simulation.links") / "cellular.toml").read_text(encoding="utf-8")
    return of_toml(text, "cellular.toml")


def _steady_rates(mbps: float) -> Rates:
    return Rates(points=(0.0, 1.0), transitions=((1.0,),), up_mbps=((mbps, mbps),), down_mbps=((mbps, mbps),))


_PLANT_BASE_MS: Final = 0.2
_BEST_EFFORT_MEAN_MS, _BEST_EFFORT_MAX_MS = 0.015666, 0.119753
_QBV_MEAN_MS, _QBV_MAX_MS = 0.000063, 1.000003


def _ethernet() -> LinkModel:
    """Switched gigabit Ethernet in a plant, best effort: jitter of 15.7 us on average and 120 us at most, each way.

    Assumed: a base of 0.2 ms (hosts and a few switches), 940 Mbit/s of payload, exponential jitter that is cut at the greatest,
    no memory between steps, no loss.
    """
    points = _exponential(_PLANT_BASE_MS, 2 * _BEST_EFFORT_MEAN_MS, _PLANT_BASE_MS + 2 * _BEST_EFFORT_MAX_MS)
    text = (
        "jitter: vernetzte-adaptive-produktion.de, Time Sensitive Networking, row Best Effort (mean 15,666 ns, max 119,753 ns); "
        "assumed: 0.2 ms base, 940 Mbit/s, exponential jitter without memory, no loss"
    )
    delay = Delay(points=points, longest_ms=points[-1][1])
    return LinkModel(
        "wired-ethernet", "ethernet-generated", 0.1, _steady_rates(940.0), delay, Source("published", text)
    )


def _tsn() -> LinkModel:
    """Time-aware Ethernet of the class of IEEE 802.1Qbv: jitter of 63 ns on average and 1 ms at most (a missed window).

    Assumed: a base of 0.2 ms, a tenth of a gigabit for the stream's windows, a missed window in 1 of 10,000 steps, no loss.
    """
    base = _PLANT_BASE_MS
    points = ((0.5, base + _QBV_MEAN_MS), (0.999, base + 2 * _QBV_MEAN_MS), (0.9999, base + _QBV_MAX_MS))
    text = (
        "jitter: vernetzte-adaptive-produktion.de, Time Sensitive Networking, row 802.1 Qbv (mean 63 ns, max 1,000,003 ns); "
        "assumed: 0.2 ms base, 100 Mbit/s in its windows, one missed window in 10,000 steps, no loss"
    )
    delay = Delay(points=((0.001, base), *points), longest_ms=base + _QBV_MAX_MS)
    return LinkModel("wired-tsn", "tsn-generated", 0.1, _steady_rates(100.0), delay, Source("published", text))


def _fibre() -> LinkModel:
    """100 km of leased fibre to a site in the region: 1 ms of light and 2 ms of equipment for the round trip.

    Assumed: 100 km, 940 Mbit/s, jitter as of best-effort Ethernet at ten switches each way, one lost probe in 100,000.
    """
    base_ms = 2 * 100 / (124 * 1.609344) + 2.0
    points = _exponential(base_ms, 20 * _BEST_EFFORT_MEAN_MS, base_ms + 20 * _BEST_EFFORT_MAX_MS)
    text = (
        "propagation and equipment: oneneck.com, Estimating WAN Latency (124 miles a ms, one ms each way); "
        "assumed: 100 km, 940 Mbit/s, jitter of ten best-effort switches each way, one lost probe in 100,000"
    )
    return LinkModel(
        "wired-fibre", "fibre-generated", 0.1, _steady_rates(940.0), Delay(points=points, longest_ms=points[-1][1]),
        Source("published", text), loss=Loss(begin=1e-5, end=1.0),
    )  # fmt: skip


def _campus_5g() -> LinkModel:
    """A private 5G standalone network: 95 % of one-way delays within 4 to 10 ms (measured for the download).

    Assumed: the upload alike, so that the round trip is within 8 to 20 ms as often; 13 ms in the middle; 40 ms at 0.999; rates of
    100 MHz in band n78, uplink p5/50/95 30/70/110 and downlink 250/500/800 Mbit/s; one lost probe in 1,000; no handovers.
    """
    text = (
        "one-way delay: Rischke et al., 5G Campus Networks: A First Measurement Study, IEEE Access 2021 (abstract; 95 % of SA "
        "downloads within 4 to 10 ms); assumed: the upload alike, the middle and the ends of the delay, all rates, memories, loss"
    )
    shares, step_s = (0.05, 0.45, 0.45, 0.05), 0.1
    return LinkModel(
        name="private-5g",
        radio="5G-SA-generated",
        step_s=step_s,
        rates=Rates(
            fast_memory=0.9,
            points=(0.0, 1.0),
            transitions=chain(shares, 20.0, step_s),
            up_mbps=_between(10.0, 30.0, 70.0, 110.0, 120.0),
            down_mbps=_between(100.0, 250.0, 500.0, 800.0, 900.0),
        ),
        delay=Delay(
            points=((0.001, 7.0), (0.025, 8.0), (0.5, 13.0), (0.975, 20.0), (0.999, 40.0)),
            longest_ms=40.0,
            slow_share=0.3,
            slow_memory=0.99,
        ),
        loss=Loss(begin=0.001, end=0.9),
        source=Source("published", text),
    )


def _exponential(base_ms: float, mean_ms: float, most_ms: float) -> tuple[tuple[float, float], ...]:
    """Quantiles of a base and an exponential excess; at 0.9999 the greatest that was seen."""
    inner = (0.001, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
    found = [(each, min(most_ms, base_ms - mean_ms * math.log(1 - each))) for each in inner]
    return (*found, (0.9999, most_ms))


_MAKERS: Final[dict[str, Callable[[], LinkModel]]] = {
    "cellular": _fitted_cellular,
    "cellular-atnt": _atnt,
    "cellular-tmobile": _tmobile,
    "cellular-verizon": _verizon,
    "private-5g": _campus_5g,
    "wired-ethernet": _ethernet,
    "wired-fibre": _fibre,
    "wired-tsn": _tsn,
}
