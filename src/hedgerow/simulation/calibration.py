"""How often bounds on the next round trip and the next transfer are exceeded, over recorded links, one step ahead.

Two beliefs. `round_trip`: what the next probe takes. `transfer`: what 11 kB up and the answer's way back take, round trip +
bytes / uplink rate, which is what `transfer.Direction` yields on a link that stays as it is (a test holds the two against
each other); each row is taken by itself, so a stall does not end when a later row is better.
Rules: a lost probe, a rate of 0 and whatever takes longer count as 10 s, which is also a bound's cap; a bound at its cap is
never missed. State is kept from link to link of one kind (the file's name up to its first hyphen: a carrier, a site) in the
order of names, or, if asked, begun anew for each link; the first 20 moments of each state are not counted.
A moment is bet upon when the bound is at most an allowance, 100 ms on cellular links and 30 ms on Wi-Fi (the radio that most
rows name begins with "WiFi").
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.emulation.traces import read_rows
from hedgerow.errors import UsageError
from hedgerow.simulation.bounds import CAP_MS, DEFAULT, METHODS, Bound
from hedgerow.simulation.course import Course
from hedgerow.simulation.losses import LossBelief, LossReport, judge

PAYLOAD_BYTES: Final = 11_000
TARGETS: Final = (0.5, 0.05, 0.01, 0.001)
BELIEFS: Final = ("round_trip", "transfer")
WARM_UP: Final = 20
WINDOW: Final = 200
ALLOWANCES_MS: Final = {"cellular": 100.0, "wifi": 30.0}
LINKS_MAX: Final = 10_000
_LEAST_MS: Final = 0.001
"""A round trip of 0 in a file is no less than this: the beliefs think in ratios."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinkSamples:
    """One link: what each moment's round trip and transfer took, in ms, (moments,), at most `CAP_MS`."""

    name: str
    kind: str
    wifi: bool
    round_trip_ms: Values
    transfer_ms: Values

    def of(self, belief: str) -> Values:
        """The values of one of `BELIEFS`."""
        return self.round_trip_ms if belief == "round_trip" else self.transfer_ms

    @property
    def allowance_ms(self) -> float:
        """The largest bound that one would bet upon."""
        return ALLOWANCES_MS["wifi" if self.wifi else "cellular"]


@dataclass(frozen=True, slots=True)
class Row:
    """One method at one target. Shares are of the moments counted; `missed_when_bet` is None where nothing is bet upon.

    `worst_200`: the largest share missed in 200 moments in succession on one link; `burst`: the longest run of misses on one;
    `width_over_median`: median bound over median value of each link, the mean over the links.
    """

    belief: str
    method: str
    default: bool
    target: float
    missed: float
    missed_when_bet: float | None
    worst_200: float
    burst: int
    width_over_median: float


@dataclass(frozen=True, slots=True)
class Detail:
    """What stands behind a row, for all links or one kind of them; `bets` and `at_cap` are shares of the moments."""

    belief: str
    method: str
    target: float
    links: str
    moments: int
    missed: float
    bets: float
    missed_when_bet: float | None
    at_cap: float
    width_over_median: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """All of it. `details` hold each row for "all", "cellular" and "wifi" where there are such links."""

    links: int
    rows: tuple[Row, ...]
    details: tuple[Detail, ...]
    loss: dict[str, LossReport]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "links": self.links,
            "rows": [asdict(each) for each in self.rows],
            "details": [asdict(each) for each in self.details],
            "loss": {name: report.as_json() for name, report in self.loss.items()},
        }


def load(folder: Path, *, half: int | None = None) -> list[LinkSamples]:
    """Every `*.csv` of a folder, by name; `half` 0 or 1 takes every second one of each kind. UsageError for what cannot be read."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: give one with links as CSV files")
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise UsageError(f"{folder} holds no CSV file: give a folder with links, one a file")
    if len(paths) > LINKS_MAX:
        raise UsageError(f"{folder} holds {len(paths)} links: the limit is {LINKS_MAX}")
    kinds = (list(of_kind) for _, of_kind in groupby(paths, _kind))
    kept = paths if half is None else [path for of_kind in kinds for path in of_kind[half::2]]
    return [_samples(path) for path in kept]


def _kind(path: Path) -> str:
    return path.stem.partition("-")[0]


def _samples(path: Path) -> LinkSamples:
    rows = read_rows(path)
    trips = np.array([CAP_MS if row.rtt_ms is None else row.rtt_ms for row in rows])
    bytes_per_ms = np.array([row.uplink_mbps for row in rows]) * 125.0
    sending = np.full(trips.size, CAP_MS)
    np.divide(PAYLOAD_BYTES, bytes_per_ms, out=sending, where=bytes_per_ms > 0)
    radio = Course.of_rows(rows, name=path.name).radio
    return LinkSamples(
        path.stem,
        _kind(path),
        radio.lower().startswith("wifi"),
        np.clip(trips, _LEAST_MS, CAP_MS),
        np.clip(np.where(trips >= CAP_MS, CAP_MS, trips + sending), _LEAST_MS, CAP_MS),
    )


def calibrate(
    links: Sequence[LinkSamples],
    *,
    restart: bool = False,
    methods: dict[str, Callable[[float], Bound]] = METHODS,
    targets: Sequence[float] = TARGETS,
    progress: Callable[[], None] = lambda: None,
) -> Calibration:
    """Every method at every target over all links; `restart` begins anew with each link. `progress` is told of each row.

    UsageError when there is nothing left to count."""
    if all(sum(link.round_trip_ms.size for link in shared) <= WARM_UP for shared in _states(links, restart)):
        raise UsageError(f"no state sees more than {WARM_UP} rows, and so many only warm it up: give longer links")
    rows: list[Row] = []
    details: list[Detail] = []
    for belief in BELIEFS:
        for target in targets:
            for name, make in methods.items():
                judged = list(_judged(links, belief, partial(make, target), restart))
                rows.append(_row(judged, belief, name, target))
                details += _details(judged, belief, name, target)
                progress()
    loss = {belief: _loss(links, belief, restart) for belief in BELIEFS}
    return Calibration(len(links), tuple(rows), tuple(details), loss)


def bounds_on(values: Values, bound: Bound) -> Values:
    """(n,) the bound that stood before each value was told, in ms, at most `CAP_MS`."""
    found: list[float] = []
    for value in values.tolist():
        found.append(bound.bound())
        bound.observe(value)
    return np.array([min(each, CAP_MS) for each in found])


def _states(links: Sequence[LinkSamples], restart: bool) -> Iterator[list[LinkSamples]]:
    """The links that share one state."""
    if restart:
        yield from ([link] for link in links)
    else:
        yield from (list(of_kind) for _, of_kind in groupby(links, lambda link: link.kind))


@dataclass(frozen=True, eq=False, slots=True)
class _Judged:
    """The moments of one link that count."""

    wifi: bool
    values: Values
    bounds: Values
    missed: NDArray[np.bool_]
    bet: NDArray[np.bool_]


def _judged(links: Sequence[LinkSamples], belief: str, make: Callable[[], Bound], restart: bool) -> Iterator[_Judged]:
    """Each link's moments; the first of each state only warm it up and are left out."""
    for shared in _states(links, restart):
        bound, warm = make(), WARM_UP
        for link in shared:
            values = link.of(belief)
            bounds = bounds_on(values, bound)[warm:]
            warm, values = max(0, warm - values.size), values[warm:]
            yield _Judged(link.wifi, values, bounds, values > bounds, bounds <= link.allowance_ms)


def worst_share(missed: NDArray[np.bool_], window: int = WINDOW) -> float:
    """The largest share of misses in `window` moments in succession; what a shorter link lacks counts as met."""
    total = np.concatenate(([0], np.cumsum(missed)))
    return float((total[window:] - total[:-window]).max() if total.size > window else total[-1]) / window


def longest_run(missed: NDArray[np.bool_]) -> int:
    """The most misses in succession."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], missed.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max()) if edges.size else 0


def _row(judged: list[_Judged], belief: str, method: str, target: float) -> Row:
    detail = _detail(judged, belief, method, target, "all")
    return Row(
        belief,
        method,
        method == DEFAULT,
        target,
        detail.missed,
        detail.missed_when_bet,
        max(worst_share(each.missed) for each in judged),
        max(longest_run(each.missed) for each in judged),
        detail.width_over_median,
    )


def _details(judged: list[_Judged], belief: str, method: str, target: float) -> Iterator[Detail]:
    for word, wifi in (("all", None), ("cellular", False), ("wifi", True)):
        chosen = [each for each in judged if wifi is None or each.wifi is wifi]
        if sum(each.values.size for each in chosen):
            yield _detail(chosen, belief, method, target, word)


def _detail(judged: list[_Judged], belief: str, method: str, target: float, links: str) -> Detail:
    missed = np.concatenate([each.missed for each in judged])
    bet = np.concatenate([each.bet for each in judged])
    capped = np.concatenate([each.bounds >= CAP_MS for each in judged])
    return Detail(
        belief,
        method,
        target,
        links,
        int(missed.size),
        float(missed.mean()),
        float(bet.mean()),
        float(missed[bet].mean()) if bet.any() else None,
        float(capped.mean()),
        float(np.mean([np.median(each.bounds) / np.median(each.values) for each in judged if each.values.size])),
    )


def _loss(links: Sequence[LinkSamples], belief: str, restart: bool) -> LossReport:
    said: list[float] = []
    lost: list[bool] = []
    last: list[bool] = []
    for shared in _states(links, restart):
        loss, before = LossBelief(), False
        happened = np.concatenate([link.of(belief) for link in shared]) >= CAP_MS
        for index, each in enumerate(happened.tolist()):
            if index >= WARM_UP:
                said.append(loss.probability())
                lost.append(each)
                last.append(before)
            loss.observe(each)
            before = each
    return judge(np.array(said), np.array(lost, np.bool_), np.array(last, np.bool_))
