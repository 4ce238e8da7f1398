"""A picture of recorded links beside generated ones: distributions, memory, losses.

matplotlib is the extra `plots`; without it there is one clear line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import HostError, UsageError
from hedgerow.views.blank import blank

WIDTH_PX, HEIGHT_PX, DPI = 1200, 760, 100
COLOURS: Final = ("#222222", "#D55E00")
"""Black and vermilion of Okabe and Ito: apart for most eyes, and on paper."""
_POINTS: Final = 400
_FLOOR_MBPS: Final = 0.01
_DEEPEST: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: (n,) round trips in ms, (m,) uplinks in Mbit/s, memory by lag, bursts of 1, 2, ... and blackouts an hour."""

    name: str
    round_trip_ms: NDArray[np.float64]
    up_mbps: NDArray[np.float64]
    round_trip_memory: Sequence[float | None]
    up_memory: Sequence[float | None]
    bursts_per_hour: Sequence[float]


def draw_links(path: str | Path, sides: Sequence[Side], *, lags_s: Sequence[float], title: str) -> Path:
    """Draw both sides into a PNG of 1200 by 760 px.

    UsageError unless there are two sides, HostError when matplotlib is missing or the file cannot be written.
    """
    if len(sides) != len(COLOURS):
        raise UsageError(f"a picture of links compares two sides, not {len(sides)}")
    figure = blank(WIDTH_PX, HEIGHT_PX, DPI)
    axes: Any = figure.subplots(2, 2)
    for side, colour in zip(sides, COLOURS, strict=True):
        _draw_delay(axes[0][0], side, colour)
        _draw_rate(axes[0][1], side, colour)
        _draw_memory(axes[1][0], side, colour, lags_s)
    _draw_losses(axes[1][1], sides)
    for each in axes.flat:
        each.tick_params(labelsize=9)
        each.grid(True, color="#E4E4E4", linewidth=0.6)
        each.set_axisbelow(True)
        for edge in ("top", "right"):
            each.spines[edge].set_visible(False)
    axes[0][0].legend(frameon=False, fontsize=11)
    figure.suptitle(title, x=0.012, y=0.985, ha="left", va="top", fontsize=13)
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.085, top=0.88, hspace=0.42, wspace=0.2)
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise HostError(f"cannot write the picture {path}: {error.strerror or error}") from None
    return Path(path)


def _draw_delay(axes: Any, side: Side, colour: str) -> None:
    """The share of probes above each round trip, down to one of the last hundredths of a percent: the tail decides deadlines."""
    from matplotlib.ticker import FuncFormatter

    deepest = max(_DEEPEST, 1 / len(side.round_trip_ms))
    above = np.logspace(0, np.log10(deepest), _POINTS)
    axes.plot(np.quantile(side.round_trip_ms, 1 - above), above, color=colour, label=side.name, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain(axes.xaxis)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.set_title("round trip: share of probes that take longer", loc="left", fontsize=11)
    axes.set_xlabel("ms", fontsize=10)


def _draw_rate(axes: Any, side: Side, colour: str) -> None:
    from matplotlib.ticker import FuncFormatter

    shares = np.linspace(0, 1, _POINTS)
    axes.plot(np.maximum(np.quantile(side.up_mbps, shares), _FLOOR_MBPS), shares, color=colour, linewidth=1.8)
    axes.set_xscale("log")
    _plain(axes.xaxis)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_title("uplink rate: share of the time at or below", loc="left", fontsize=11)
    axes.set_xlabel("Mbit/s", fontsize=10)


def _draw_memory(axes: Any, side: Side, colour: str, lags_s: Sequence[float]) -> None:
    for values, marker, line, name in (
        (side.up_memory, "o", "-", "uplink"),
        (side.round_trip_memory, "s", "--", "round trip"),
    ):
        known = [(lag, value) for lag, value in zip(lags_s, values, strict=True) if value is not None]
        axes.plot(
            [lag for lag, _ in known],
            [value for _, value in known],
            color=colour,
            marker=marker,
            linestyle=line,
            markersize=5,
            linewidth=1.5,
            label=f"{name}, {side.name}",
        )
    axes.set_xscale("log")
    _plain(axes.xaxis)
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.02)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title("autocorrelation of the logarithm", loc="left", fontsize=11)
    axes.set_xlabel("lag, s", fontsize=10)


def _draw_losses(axes: Any, sides: Sequence[Side]) -> None:
    last = len(sides[0].bursts_per_hour)
    places = np.arange(last)
    for place, (side, colour) in enumerate(zip(sides, COLOURS, strict=True)):
        axes.bar(places + (place - 0.5) * 0.38, side.bursts_per_hour, width=0.36, color=colour, label=side.name)
    names = [str(each + 1) for each in range(last - 2)] + [f"{last - 1}+", "1 s or longer"]
    axes.set_xticks(places, names)
    axes.set_title("runs of lost probes, an hour", loc="left", fontsize=11)
    axes.set_xlabel("lost in a row", fontsize=10)


def _plain(axis: Any) -> None:
    """Numbers as a person writes them: 0.1, 10, 1000."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis.set_major_locator(LogLocator(base=10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
