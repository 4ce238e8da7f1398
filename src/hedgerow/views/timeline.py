"""A picture of several drives over the same course: every answer's latency against the deadline, coloured by who gave it,
over the state of the link.

matplotlib is the extra `plots`; without it there is one clear line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hedgerow.errors import HostError, UsageError
from hedgerow.views.blank import blank
from hedgerow.views.kinds import LOOKS, Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_PX, ROW_PX, DPI = 1600, 330, 100
TOP_SHARE: Final = 2.0  # the axis ends at so many deadlines; what is above is drawn at the edge, with its figure
SHADES: Final[dict[str, str]] = {
    "good": "#FFFFFF",
    "squeeze": "#FBE9C6",
    "blackout": "#C9CCD1",
    "server down": "#F3CFCB",
}


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of the course; `name` is one of SHADES or any other word (drawn as good)."""

    name: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Dot:
    """One request: captured at `at_s` of the drive."""

    at_s: float
    latency_ms: float
    kind: Kind
    late: bool


def draw_timeline(
    path: str | Path,
    drives: Mapping[str, Sequence[Dot]],
    bands: Mapping[str, Sequence[Band]],
    *,
    deadline_ms: float,
    seconds: float,
    title: str,
    captions: Mapping[str, str] | None = None,
) -> Path:
    """Draw one row a strategy into a PNG of 1600 px; `bands` and `captions` (at the right) are each row's.

    UsageError without any drive, HostError when matplotlib is missing or the file cannot be written.
    """
    if not drives:
        raise UsageError("a timeline needs at least one drive")
    height_px = ROW_PX * len(drives) + 170
    figure = blank(WIDTH_PX, height_px, DPI)
    rows: Any = figure.subplots(len(drives), 1, sharex=True, squeeze=False)
    for place, (name, dots) in enumerate(drives.items()):
        axes = rows[place][0]
        _draw_bands(axes, bands.get(name, ()), named=place == 0, top_ms=TOP_SHARE * deadline_ms)
        _draw_dots(axes, dots, deadline_ms)
        axes.set_title(name, loc="left", fontsize=13, fontweight="bold", pad=20 if place == 0 else 7)
        axes.set_title((captions or {}).get(name, ""), loc="right", fontsize=11, pad=20 if place == 0 else 7)
        axes.set_xlim(0, seconds)
        axes.set_ylim(0, TOP_SHARE * deadline_ms)
        axes.set_ylabel("latency, ms", fontsize=11)
        axes.tick_params(labelsize=10)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    rows[-1][0].set_xlabel("time of capture, s", fontsize=11)
    _add_legend(figure, drives)
    figure.suptitle(title, x=0.012, y=0.992, ha="left", va="top", fontsize=14)
    top = 1 - 92 / height_px
    figure.subplots_adjust(left=0.05, right=0.985, bottom=112 / height_px, top=top, hspace=0.26)
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise HostError(f"cannot write the picture {path}: {error.strerror or error}") from None
    return Path(path)


def _draw_bands(axes: "Axes", bands: Sequence[Band], *, named: bool, top_ms: float) -> None:
    for band in bands:
        axes.axvspan(band.from_s, band.until_s, color=SHADES.get(band.name, SHADES["good"]), zorder=0, linewidth=0)
        if named:
            middle = (band.from_s + band.until_s) / 2
            axes.text(middle, top_ms * 1.015, band.name, ha="center", va="bottom", fontsize=10, color="#444444")


def _draw_dots(axes: "Axes", dots: Sequence[Dot], deadline_ms: float) -> None:
    axes.axhline(deadline_ms, color="#B22222", linewidth=1.6, zorder=2)
    top_ms = TOP_SHARE * deadline_ms
    for kind, look in LOOKS.items():
        mine = [dot for dot in dots if dot.kind is kind]
        places = [min(dot.latency_ms, 0.975 * top_ms) for dot in mine]
        edges = ["#B22222" if dot.late else "none" for dot in mine]
        axes.scatter(
            [dot.at_s for dot in mine],
            places,
            s=30,
            c=look.picture,
            marker=look.marker,
            edgecolors=edges,
            linewidths=1.1,
            zorder=3,
            clip_on=False,
        )
    over = [dot.latency_ms for dot in dots if dot.latency_ms > top_ms]
    if over:
        words = f"{len(over)} above {top_ms:.0f} ms, drawn at the edge; the longest {max(over):,.0f} ms"
        axes.text(
            0.995,
            0.90,
            words,
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=10,
            color="#B22222",
            zorder=4,
            bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 2},
        )


def _add_legend(figure: Any, drives: Mapping[str, Sequence[Dot]]) -> None:
    from matplotlib.lines import Line2D

    present = {dot.kind for dots in drives.values() for dot in dots}
    words = {
        Kind.DEVICE: "device: a local arm was chosen",
        Kind.EXIT: "exit: an early exit was sure enough",
        Kind.CASCADE: "cascade: the small model was sure enough",
        Kind.RESERVE: "reserve: the device answered for the cloud",
        Kind.SPLIT: "split: begun here, ended in the cloud",
        Kind.CLOUD: "cloud: compressed input",
        Kind.REUSED: "reused: the last answer stood",
        Kind.NONE: "no answer (when that was known)",
    }
    handles = [
        Line2D(
            [], [], linestyle="", marker=LOOKS[kind].marker, color=LOOKS[kind].picture, markersize=7, label=words[kind]
        )
        for kind in Kind
        if kind in present
    ]
    handles.append(Line2D([], [], color="#B22222", linewidth=1.6, label="deadline (red rim: late)"))
    figure.legend(handles=handles, loc="lower center", ncols=3, frameon=False, fontsize=10.5)
