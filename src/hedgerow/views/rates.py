"""Agreement against bytes for every way to cross, in one picture: where each one reaches what is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hedgerow.views.blank import blank

WIDTH_PX: Final = 1500
HEIGHT_PX: Final = 900
DPI: Final = 130
AGREEMENT_MIN: Final = 0.5  # what agrees less often is of no use to anybody
COLOURS: Final = ("#0b6e4f", "#c1440e", "#1f4e9c", "#7a3e9d", "#6b6b6b", "#b8860b", "#2f8f9d", "#a83279")
TICKS_BYTES: Final = (500, 1000, 2000, 4000, 8000, 16_000, 32_000)


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Points (bytes, agreement) of one way; `dashed` for the prefixes of a progressive payload."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def draw_rates(curves: Sequence[RateCurve], path: Path, *, asked: float, title: str) -> None:
    """Write the picture. HostError without matplotlib."""
    figure = blank(WIDTH_PX, HEIGHT_PX, DPI)
    axes = figure.add_axes((0.075, 0.1, 0.9, 0.8))
    for number, curve in enumerate(curves):
        seen = [(size, agreement) for size, agreement in curve.points if agreement >= AGREEMENT_MIN]
        if seen:
            across, up = zip(*seen, strict=True)
            style = "--" if curve.dashed else "-"
            axes.plot(
                across,
                up,
                style,
                marker="." if curve.dashed else "o",
                markersize=4,
                linewidth=1.5,
                color=COLOURS[number % len(COLOURS)],
                label=curve.name,
            )
    axes.axhline(asked, color="#222222", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xticks(TICKS_BYTES, [f"{each:,}" for each in TICKS_BYTES])
    axes.minorticks_off()
    axes.set_ylim(AGREEMENT_MIN, 1.005)
    axes.set_xlabel("mean bytes of a payload (logarithmic), envelope included")
    axes.set_ylabel("share of answers equal to the uncut model's")
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.legend(loc="lower right", fontsize=8, frameon=True)
    figure.savefig(path)
