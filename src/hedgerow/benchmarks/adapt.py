"""`hedgerow bench adapt`: the figures of what `make adapt` made, on photographs and samples that nothing was made from.

Each figure is a file of `adapting/` with `measure(setting)`. Thresholds are read from what was made and never set here. A file
that is not part of this version, and a figure whose models or data are not there, is left out with the reason.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hedgerow.adaptation.sources import remembered
from hedgerow.benchmarks.adapting.setting import RESPLITS, Setting
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.home import home

MEASURES = ("int8", "exits_image", "exits_text", "cascade", "reuse", "bottleneck", "arbitration")
SKIPPED = "skipped"
Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: a figure, what was asked of it, and whether it is met (None: no goal)."""

    measure: str
    figure: str
    value: Any
    asked: str
    met: bool | None


def bench_adapt(
    *,
    data: Path | None,
    holdout: Path | None,
    say: Callable[[str], None],
    only: Sequence[str] = (),
    measures: Sequence[str] = MEASURES,
) -> dict[str, dict[str, Any]]:
    """The figures by name, in the order of `measures`; {"skipped": why} for one that cannot be measured here."""
    unknown = sorted(set(only) - set(measures))
    if unknown:
        raise UsageError(f"no figure '{unknown[0]}'; there are {', '.join(measures)}")
    for folder in (data, holdout):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
    setting = Setting(data or remembered() or home() / "adapted" / "data", holdout, say)
    found = {}
    for name in measures:
        if only and name not in only:
            continue
        started = time.monotonic()
        say(f"{name}: measuring")
        found[name] = _measure(name, setting)
        say(f"{name}: {found[name].get(SKIPPED) or 'done'} ({time.monotonic() - started:.1f} s)")
    return found


def _measure(name: str, setting: Setting) -> dict[str, Any]:
    if importlib.util.find_spec(f"hedgerow.benchmarks.adapting.{name}") is None:
        return {SKIPPED: "not part of this version"}
    try:
        figures: dict[str, Any] = importlib.import_module(f"hedgerow.benchmarks.adapting.{name}").measure(setting)
    except HedgerowError as error:
        return {SKIPPED: f"{error} [at fault: {error.at_fault}]"}
    return figures


def goals(found: Mapping[str, Figures], *, holdout: bool) -> list[Goal]:
    """Each figure that a goal was set for, beside it; the cascade's are looser on a hold-out."""
    escalated, agreement = (0.35, 0.95) if holdout else (0.30, 0.97)
    rows: list[Goal] = []

    def row(measure: str, figure: str, asked: str, is_met: Callable[[Figures], bool]) -> None:
        figures = found.get(measure, {})
        if SKIPPED in figures or figure not in figures:
            return
        try:
            met = is_met(figures)
        except (KeyError, TypeError):
            met = None
        rows.append(Goal(measure, figure, figures[figure], asked, met))

    row("int8", "speedup", ">= 2", lambda it: it["speedup"] >= 2)
    row("int8", "agreement", ">= 0.97", lambda it: it["agreement"] >= 0.97)
    for exits, speedup in (("exits_image", 1.9), ("exits_text", 1.67)):
        row(exits, "speedup", f">= {speedup}", lambda it, least=speedup: it["speedup"] >= least)  # type: ignore[misc]
        row(exits, "disagreement_got", "<= asked", lambda it: it["disagreement_got"] <= it["disagreement_asked"])
        row(exits, "resplits_kept", f">= 91 of {RESPLITS}", lambda it: it["resplits_kept"] >= 91)
    row("cascade", "escalated", f"<= {escalated}", lambda it: it["escalated"] <= escalated)
    row("cascade", "agreement", f">= {agreement}", lambda it: it["agreement"] >= agreement)
    row("bottleneck", "bytes_50", "<= 0.5 x plain_bytes_50", lambda it: it["bytes_50"] <= 0.5 * it["plain_bytes_50"])
    row("bottleneck", "bytes_25", "<= 0.4 x jpeg_bytes", lambda it: it["bytes_25"] <= 0.4 * it["jpeg_bytes"])
    row("bottleneck", "agreement", ">= 0.95", lambda it: it["agreement"] >= 0.95)
    row("arbitration", "cost_ours", "< cost_best_other", lambda it: it["cost_ours"] < it["cost_best_other"])
    return rows


def table(found: Mapping[str, Figures], *, holdout: bool) -> str:
    """Every figure for people, with what was asked of it."""
    asked = {(goal.measure, goal.figure): goal for goal in goals(found, holdout=holdout)}
    lines = [f"{'':36} {'figure':>12}  goal"]
    for measure, figures in found.items():
        for figure, value in figures.items():
            goal = asked.get((measure, figure))
            said = "" if goal is None else f"{goal.asked}: {_WORDS[goal.met]}"
            shown = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
            lines.append(f"{measure + ' ' + figure:36} {shown:>12}  {said}".rstrip())
    return "\n".join(lines)


_WORDS = {True: "met", False: "NOT met", None: "cannot be told"}
