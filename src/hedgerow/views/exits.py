"""A picture of early exits: how much sooner the answer is there for each disagreement asked for, and who gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hedgerow.views.blank import blank

WIDTH_PX, HEIGHT_PX, DPI = 1200, 480, 120
COLOURS = ("#2b6cb0", "#38a169", "#d69e2e", "#805ad5", "#c53030")
REST = "#a0aec0"


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """What was found for one disagreement asked for: shares of samples; `shares` of each exit, the rest is the whole model's."""

    asked: float
    got: float
    speedup: float
    shares: tuple[float, ...]


def draw_exits(points: Sequence[ExitPoint], names: Sequence[str], title: str, path: Path) -> None:
    """Write a PNG: speedup over the disagreement asked for, and beside it the share of samples each exit answers."""
    figure = blank(WIDTH_PX, HEIGHT_PX, DPI)
    left, right = figure.subplots(1, 2)
    asked = [100.0 * point.asked for point in points]
    left.plot(asked, [point.speedup for point in points], "o-", color=COLOURS[0])
    for point in points:
        left.annotate(
            f"{100.0 * point.got:.2f} %",
            (100.0 * point.asked, point.speedup),
            textcoords="offset points",
            xytext=(4, -12),
            fontsize=7,
            color="#4a5568",
        )
    left.axhline(1.0, color=REST, linewidth=0.8)
    left.set_xscale("log")
    left.set_xticks(asked, [f"{value:g}" for value in asked])
    left.minorticks_off()
    left.set_xlabel("disagreement asked for, % (beside each point: what came of it)")
    left.set_ylabel("mean time, whole model / with exits")
    left.set_ylim(bottom=0.9)
    places, below = range(len(points)), [0.0] * len(points)
    for number, name in enumerate([*names, "whole model"]):
        whole = number == len(names)
        heights = [100.0 * (1.0 - sum(point.shares) if whole else point.shares[number]) for point in points]
        right.bar(places, heights, bottom=below, color=REST if whole else COLOURS[number % len(COLOURS)], label=name)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    right.set_xticks(list(places), [f"{value:g}" for value in asked])
    right.set_xlabel("disagreement asked for, %")
    right.set_ylabel("answered by, % of samples")
    right.set_ylim(0, 100)
    right.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncol=len(names) + 1, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path)
