"""Pictures of a comparison: cost against lateness, which arm wins where, and one link's timeline.

matplotlib is the extra `plots`; without it there is one clear line. All three are drawn from plain figures: the object that
`hedgerow simulate --json` prints, and one world's requests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import HostError
from hedgerow.views.blank import blank

WIDTH_PX, HEIGHT_PX, DPI = 1200, 640, 100
OURS: Final = "hedgerow"
FAMILIES: Final = {
    "local": "#0072B2", "picture": "#E69F00", "split": "#009E73", "raw": "#CC79A7", "exit": "#56B4E9",
    "cascade": "#000000", "reused": "#F0E442", "none": "#DDDDDD",
}  # fmt: skip
"""Colours of Okabe and Ito: apart for most eyes. What an arm does: here, a compressed picture, features, the sample as it is; a gate before
more work here, or before a crossing; the last answer again."""
_LATE_FLOOR: Final = 1e-5


@dataclass(frozen=True)
class Timeline:
    """One world under one policy: (n,) seconds, latencies in ms (NaN: never), arms' names ("" for none), whether the reserve ran;
    the link's own round trip in ms at each request (NaN where it stands still)."""

    title: str
    deadline_ms: float
    at_s: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    arms: Sequence[str]
    reserve: NDArray[np.bool_]
    round_trip_ms: NDArray[np.float64]


def family(arm: str) -> str:
    """What kind of arm a name stands for."""
    if not arm:
        return "none"
    if arm.startswith("local:"):
        return "local"
    if arm.startswith(("exit:", "cascade:")):
        return arm.partition(":")[0]
    if arm == "reuse":
        return "reused"
    if arm.startswith("split:"):
        return "split"
    return "raw" if arm.endswith(":raw") else "picture"


def draw(summary: dict[str, Any], folder: Path, timeline: Timeline | None = None) -> list[Path]:
    """Write the pictures into `folder` and return their paths. HostError without matplotlib or where they cannot be written."""
    made = [_save(folder / "cost-lateness.png", lambda axes: _cost_lateness(axes, summary))]
    made.append(_save(folder / "arms-map.png", lambda axes: _arms_map(axes, summary)))
    if timeline is not None:
        made.append(_save(folder / "timeline.png", lambda axes: _timeline(axes, timeline)))
    return made


def check() -> None:
    """HostError, before anything is computed, where pictures cannot be drawn."""
    blank(1, 1, DPI)


def _save(path: Path, fill: Callable[[Any], None]) -> Path:
    figure = blank(WIDTH_PX, HEIGHT_PX, DPI)
    axes = figure.subplots()
    fill(axes)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    figure.tight_layout()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from None
    return path


def _cost_lateness(axes: Any, summary: dict[str, Any]) -> None:
    """Each policy a point: mean cost over the clairvoyant's, and the share of late requests on a logarithmic scale."""
    rows = [row for row in summary["policies"] if row["cost"] is not None and row["requests"]]
    rows.sort(key=lambda row: float(row["cost_over_clairvoyant"]))
    shares = [max(row["late"] / row["requests"], _LATE_FLOOR) for row in rows]
    level: dict[float, int] = {}
    for row, share in zip(rows, shares, strict=True):
        x, ours = row["cost_over_clairvoyant"], row["name"] == OURS
        axes.plot(x, share, "o", markersize=11 if ours else 7, color="#D55E00" if ours else "#0072B2", zorder=3)
        near = round(np.log10(share) * 2) / 2
        place = level[near] = level.get(near, -1) + 1
        axes.annotate(
            f"{row['name']}  {x:.2f}", (x, share), xytext=(6, 12 + 15 * (place % 6)), textcoords="offset points", fontsize=9,
            fontweight="bold" if ours else "normal", arrowprops={"arrowstyle": "-", "color": "#BBBBBB", "lw": 0.6},
        )  # fmt: skip
    for row in summary["oracles"]:
        if row["cost"] is not None and row["name"] != "clairvoyant_free":
            axes.axvline(row["cost_over_clairvoyant"], color="#888888", linestyle="--", linewidth=1)
            axes.text(
                row["cost_over_clairvoyant"], 1.4, f" {row['name']}", rotation=90, fontsize=8, va="top", color="#555555"
            )
    axes.set_yscale("log")
    axes.set_ylim(_LATE_FLOOR / 2, 2)
    ticks = [_LATE_FLOOR, 1e-4, 1e-3, 1e-2, 1e-1, 1]
    axes.set_yticks(ticks, ["none", "0.01 %", "0.1 %", "1 %", "10 %", "all"])
    axes.set_xlabel("cost of a request over the rule-bound clairvoyant's (mean over cells; left is better)")
    axes.set_ylabel("late requests")
    axes.set_title(
        f"Cost against lateness: {summary['links']} links, {summary['cells_counted']} cells of '{summary['scenario']}' (simulated)"
    )
    axes.grid(True, color="#EEEEEE")


def _arms_map(axes: Any, summary: dict[str, Any]) -> None:
    """Rows: deadline, device and price; columns: radio. Colour: the best single arm; the figure: ours over it."""
    cells = summary["by_cell"]
    radios = list(dict.fromkeys((cell["group"], cell["radio"]) for cell in cells))
    settings = sorted(
        {
            (c["group"], c["deadline_ms"], c["device_factor"], c["disagreement_mj"], c["money_mj"], c["reserve_mj"])
            for c in cells
        }
    )
    column, row = {each: i for i, each in enumerate(radios)}, {each: i for i, each in enumerate(settings)}
    for cell in cells:
        key = (
            cell["group"], cell["deadline_ms"], cell["device_factor"], cell["disagreement_mj"], cell["money_mj"],
            cell["reserve_mj"],
        )  # fmt: skip
        x, y = column[cell["group"], cell["radio"]], row[key]
        colour = FAMILIES[family(cell["hindsight_arm"])]
        axes.add_patch(_box(x, y, colour, 0.85 if cell["counts"] else 0.3))
        ours = cell["cost"].get(OURS)
        if ours is not None:
            axes.text(x, y, f"{ours / cell['hindsight']:.2f}", ha="center", va="center", fontsize=7)
    axes.set_xlim(-0.5, len(radios) - 0.5)
    axes.set_ylim(len(settings) - 0.5, -0.5)
    names = [radio.removeprefix("WiFi-") or "other" for _, radio in radios]
    axes.set_xticks(range(len(radios)), names, rotation=25, ha="right", fontsize=8)
    labels = [
        f"{deadline:g} ms, device x{factor:g}, disagreement {price:g}" + (f", money {money:g}" if money else "")
        for _, deadline, factor, price, money, _ in settings
    ]
    axes.set_yticks(range(len(settings)), labels, fontsize=7)
    axes.set_title("Best single arm in hindsight (colour), and ours over its cost; pale: one arm wins anyway")
    for name, colour in FAMILIES.items():
        if name != "none":
            axes.plot([], [], "s", color=colour, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _box(x: int, y: int, colour: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=colour, alpha=alpha, linewidth=0)


def _timeline(axes: Any, world: Timeline) -> None:
    """Latency of every request by the kind of arm, beside the link's round trip."""
    kinds = np.array([family(arm) for arm in world.arms])
    axes.plot(world.at_s, world.round_trip_ms, color="#999999", linewidth=1, label="round trip of the link")
    for name, colour in FAMILIES.items():
        chosen = kinds == name
        if chosen.any():
            axes.plot(world.at_s[chosen], world.latency_ms[chosen], ".", color=colour, markersize=6, label=name)
    if world.reserve.any():
        axes.plot(
            world.at_s[world.reserve], world.latency_ms[world.reserve], "o", markersize=8, markerfacecolor="none",
            color="#D55E00", linewidth=0, label="reserve ran",
        )  # fmt: skip
    axes.axhline(world.deadline_ms, color="#D55E00", linewidth=1)
    axes.text(world.at_s[0], world.deadline_ms, "deadline ", va="bottom", fontsize=9, color="#D55E00")
    axes.set_ylim(0, world.deadline_ms * 1.6)
    axes.set_xlabel("seconds")
    axes.set_ylabel("ms from capture to answer")
    axes.set_title(world.title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
