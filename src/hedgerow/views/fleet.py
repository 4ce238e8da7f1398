"""A fleet's figures as a table for a terminal and as a picture. Says nothing that the figures do not say (simulation/fleet.py)."""

from pathlib import Path
from typing import Any

from rich.table import Table

from hedgerow.errors import HostError, UsageError

_COLUMNS = (
    "devices", "cells", "requests", "late", "p50 ms", "p99 ms", "p99.9 ms", "remote", "reserves", "cost mJ", "energy mJ",
    "cloud busy", "queue p99 ms", "refused",
)  # fmt: skip
FORMATS = (".png", ".svg", ".pdf")


def fleet_table(found: dict[str, Any]) -> Table:
    """One row a size."""
    title = f"fleet '{found['scenario']}' under {found['policy']}: {found['deadline_ms']:g} ms, {found['seconds']:g} s"
    table = Table(title=title, title_justify="left")
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for row in found["sizes"]:
        cloud = row["cloud"]
        cells = (
            f"{row['devices']:,}", f"{row['cells']:,}", f"{row['requests']:,}", f"{row['late']:,}",
            *(_or_never(row[name]) for name in ("p50_ms", "p99_ms", "p999_ms")),
            f"{row['remote']:.1%}", f"{row['reserves']:.1%}", f"{row['cost_mj']:.1f}", f"{row['energy_mj']:.1f}",
            f"{cloud['utilisation']:.1%}", f"{cloud['queue_p99_ms']:.1f}", f"{cloud['refused_share']:.2%}",
        )  # fmt: skip
        table.add_row(*cells)
    return table


def fleet_lines(found: dict[str, Any]) -> list[str]:
    """What the table does not hold: where the cloud saturates, and what came of the outage."""
    size = found["saturates_at"]
    lines = [
        f"the cloud is saturated from {size:,} devices on" if size else "the cloud is not saturated at any of these"
    ]
    if found["outage"] is not None:
        lines.append(f"all cells dead at {found['outage']['at_s']:g} s for {found['outage']['for_s']:g} s; then arrive")
    for row in found["sizes"]:
        back = row["reconnection"]
        if back is not None:
            after = "not within 5 s" if back["back_after_ms"] is None else f"after {back['back_after_ms']:,} ms"
            lines.append(
                f"  {row['devices']:>6,} devices: at most {back['peak_per_100ms']:,} requests and probes in 100 ms"
                f" ({_or_never(back['peak_over_usual'], 2)} times the usual {back['usual_per_100ms']:,.1f}), as many as before {after}"
            )
    return lines


def _or_never(value: float | None, digits: int = 1) -> str:
    return "never" if value is None else f"{value:.{digits}f}"


def draw_fleet(found: dict[str, Any], path: Path) -> None:
    """Latency, reserves and cost, and the cloud against the number of devices; what arrives around the outage."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"a picture ends in {', '.join(FORMATS)}: not '{path.name}'")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    latency, shares, cloud, arrivals = figure.subplots(2, 2).flat
    rows = found["sizes"]
    sizes = [row["devices"] for row in rows]
    for name, word in (("p50_ms", "median"), ("p99_ms", "p99"), ("p999_ms", "p99.9")):
        latency.plot(sizes, [row[name] for row in rows], marker="o", label=word)
    latency.axhline(found["deadline_ms"], color="black", linestyle=":", label="deadline")
    latency.set(title="answer after capture", ylabel="ms")
    latency.set_ylim(bottom=0)
    shares.plot(sizes, [100 * row["remote"] for row in rows], marker="o", color="tab:blue", label="answered from afar")
    shares.plot(sizes, [100 * row["reserves"] for row in rows], marker="o", color="tab:orange", label="reserve used")
    shares.set(title="who answers, and what it costs", ylabel="% of requests", ylim=(0, 100))
    cost = shares.twinx()
    cost.plot(sizes, [row["cost_mj"] for row in rows], marker="s", color="tab:green", label="cost (right)")
    cost.set_ylabel("mJ a request")
    cost.set_ylim(bottom=0)
    handles = [*shares.get_legend_handles_labels()[0], *cost.get_legend_handles_labels()[0]]
    shares.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
    for of, word in (("utilisation", "computing"), ("refused_share", "requests refused")):
        cloud.plot(sizes, [100 * row["cloud"][of] for row in rows], marker="o", label=word)
    cloud.set(title="the cloud", ylabel="%", ylim=(0, 100))
    _arrivals(arrivals, found)
    for each in (latency, shares, cloud):
        each.set_xscale("log")
        each.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        each.minorticks_off()
        each.set_xlabel("devices")
    latency.legend(loc="lower left")
    cloud.legend(loc="upper left")
    figure.suptitle(f"fleet '{found['scenario']}': emulated devices, cells and cloud, the real core in each device")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from None


def _arrivals(axes: Any, found: dict[str, Any]) -> None:
    """What arrives at the cloud over time, as times of the usual, so that all sizes stand beside each other."""
    axes.set(title="requests and probes arriving at the cloud in 100 ms", xlabel="s", ylabel="times the usual")
    outage = found["outage"]
    if outage is None:
        axes.text(0.5, 0.5, "no outage in this scenario", ha="center", transform=axes.transAxes)
        return
    axes.axvspan(outage["at_s"], outage["at_s"] + outage["for_s"], color="0.85", label="all cells dead")
    for row in found["sizes"]:
        back = row["reconnection"]
        if back["usual_per_100ms"]:
            moments = [back["from_s"] + 0.1 * place for place in range(len(back["per_100ms"]))]
            values = [each / back["usual_per_100ms"] for each in back["per_100ms"]]
            axes.step(moments, values, where="post", linewidth=1, label=f"{row['devices']:,} devices")
    axes.axhline(1.0, color="black", linestyle=":", linewidth=1)
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", fontsize="small")
