"""A policy's estimated figures beside the log's own, how much of its choices the log explored, and what the intervals mean."""

from dataclasses import dataclass
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hedgerow.assurance.evaluation import Estimate, Evaluation, Support


@dataclass(frozen=True, slots=True)
class Figure:
    """How a column of an evaluation is told."""

    key: str
    title: str
    form: str
    scale: float = 1.0


FIGURES: Final = (
    Figure("cost_mj", "cost mJ", "{:,.1f}"),
    Figure("energy_mj", "energy mJ", "{:,.1f}"),
    Figure("uplink_bytes", "uplink kB", "{:,.2f}", 1e-3),
    Figure("disagreement", "disagreement %", "{:.2f}", 100.0),
    Figure("late", "late %", "{:.2f}", 100.0),
    Figure("reserve", "reserve used %", "{:.2f}", 100.0),
)
NARROWEST: Final = 16  # of an interval on a line of its own; all fit into 80 columns
ESTIMATORS: Final = (("dr", "doubly robust"), ("snips", "self-normalised"), ("ips", "inverse propensity"))


def evaluation_table(found: Evaluation, *, journal: str) -> RenderableType:
    """The table, the difference from the log in words, the support, and what to make of it."""
    table = Table(
        title=f"'{found.policy}' per request, told from {journal} ('{found.logged_policy}' logged {found.requests:,})",
        title_justify="left", title_style="", header_style="bold",
        box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    table.add_column("per request", no_wrap=True)
    table.add_column("logged", justify="right", no_wrap=True)
    for _, title in ESTIMATORS:
        table.add_column(f"{title}\n[95 %]", justify="right", min_width=NARROWEST)
    for figure in FIGURES:
        every = found.figures[figure.key]
        cells = [Text(_mean(every.logged, figure))]
        cells += [Text(_interval(getattr(every, key), figure), "bold" if key == "dr" else "") for key, _ in ESTIMATORS]
        table.add_row(figure.title, *cells)
    return Group(table, Text(difference(found), "bold"), Text(support_line(found.support)), Text(_notes(found), "dim"))


def difference(found: Evaluation) -> str:
    """Whether it costs more or less than what was logged, as far as the journal can tell."""
    saves = found.figures["cost_mj"].saves
    if saves.low <= 0 <= saves.high:
        between = f"between {-saves.high:+.1f} and {-saves.low:+.1f} mJ a request"
        return f"against the log: no difference that this journal can tell ({between})"
    word, sign = ("less", 1.0) if saves.low > 0 else ("more", -1.0)
    low, high = sorted((sign * saves.low, sign * saves.high))
    return f"against the log: {sign * saves.mean:.1f} mJ {word} a request (95 %: {low:.1f} to {high:.1f})"


def support_line(support: Support) -> str:
    """How much of what it chooses was logged."""
    return (
        f"support: the log chose the same in {support.matched:.1%} of {support.requests:,} requests, worth "
        f"{support.effective:,.0f} of equal weight; least propensity {support.least_chance:.4f}; left out {support.outside:.2%}; "
        f"mean weight {support.weight_mean:.2f} (1 is right, give or take {support.weight_error:.2f})"
    )


def _notes(found: Evaluation) -> str:
    bernstein = found.figures["cost_mj"].ips.bernstein
    wide = (
        "" if bernstein is None else f" By Bernstein's bound inverse propensity's cost is within {bernstein:,.0f} mJ."
    )
    out = f" {found.unended} requests had not ended and {found.undecided} were never decided: left out."
    left = out if found.unended or found.undecided else ""
    return (
        f"Read doubly robust first; where the three disagree by more than their intervals, trust none. Intervals: resampled over "
        f"{found.blocks} blocks of time, for requests like these.{wide} Each request counts as one trial: what a choice does to later "
        f"requests (what is believed of the link, a busy lane) stays as logged. Energy is modelled. Probes, the log's own, come on top: "
        f"{found.probe_mj:.1f} mJ and {found.probe_bytes / 1e3:.2f} kB a request.{left}"
    )


def _mean(estimate: Estimate, figure: Figure) -> str:
    return figure.form.format(estimate.mean * figure.scale)


def _interval(estimate: Estimate, figure: Figure) -> str:
    low, high = (figure.form.format(each * figure.scale) for each in (estimate.low, estimate.high))
    return f"{_mean(estimate, figure)} [{low}..{high}]"  # may be broken before the bracket alone
