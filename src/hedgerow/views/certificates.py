"""A certificate, or why there is none, as text for a terminal. Says nothing that the records do not say."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hedgerow.assurance.certification.counterexample import Counterexample
from hedgerow.assurance.certification.document import Document, LaneClaim, ModeClaim
from hedgerow.assurance.certification.mending import Mend
from hedgerow.assurance.certification.proving import LanePlan

_WIDTH = 60
_SIGNS = "abcdefghijklmnopqrstuvwxyz"


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.1f}"


def show_certificate(document: Document, console: Console, *, modes_declared: bool) -> None:
    """What is proven, mode by mode and lane by lane, and what that depends on."""
    console.print(
        Text("feasible", "bold green"), "every reserve is in time, with the network gone at the worst instant"
    )
    for mode in document.modes:
        console.print()
        for lane in mode.lanes:
            console.print(_lane_table(mode, lane) if lane.streams else Text(_title(mode, lane), "bold"))
            for line in _lane_lines(lane):
                console.print(f"  {line}")
        if mode.safe_value_only:
            console.print(f"  only their safe value in this mode: {', '.join(mode.safe_value_only)}")
    console.print()
    for change in document.changes:
        proven = "proven: what is in flight stays in time"
        unproven = (
            "not proven: samples in flight at that change may be late or dropped; on the way back, one that is withdraws the"
            " mode returned to as well"
        )
        how = proven if change.proven else unproven
        console.print(f"change between '{change.before}' and '{change.after}': {how}")
    if not modes_declared:
        console.print(
            "no [[mode]] is declared: past its allowance of exceeded bounds the certificate is withdrawn, and nothing follows it"
        )
    console.print("what it rests on:")
    for line in document.statement[1:]:
        console.print(f"  - {line}")


def _title(mode: ModeClaim, lane: LaneClaim) -> str:
    return f"mode '{mode.name}', lane '{lane.lane}'"


def _lane_table(mode: ModeClaim, lane: LaneClaim) -> Table:
    table = Table(title=_title(mode, lane), title_justify="left", title_style="bold")
    table.add_column("stream")
    table.add_column("reserve", overflow="fold")
    for name in ("takes ms", "every ms", "within ms", "slack ms", "bears more ms"):
        table.add_column(name, justify="right")
    for each in lane.streams:
        more = f" (+ {', '.join(each.reserves[1:])})" if len(each.reserves) > 1 else ""
        figures = (each.cost_ns, each.distance_ns, each.within_ns, each.slack_ns, each.extra_blocking_ns)
        table.add_row(each.stream, f"{each.reserve}{more}", *map(_ms, figures))
    return table


def _lane_lines(lane: LaneClaim) -> Iterator[str]:
    if lane.streams:
        yield (
            f"loaded {lane.utilisation_ppm / 10_000:.1f} %; tightest {_ms(lane.tightest_ns)} ms after the worst instant:"
            f" {_ms(lane.demand_ns)} ms of work and blocking; every due up to {_ms(lane.horizon_ns)} ms checked"
        )
    yield f"optional work may hold the lane for {_ms(lane.blocking_ns)} ms between two joints"
    if lane.arms_excluded:
        yield f"arms not admitted, as they hold it longer: {', '.join(lane.arms_excluded)}"
    if lane.reserves_excluded:
        yield f"reserves not admitted, as they hold it longer: {', '.join(lane.reserves_excluded)}"


def show_failure(plan: LanePlan, found: Counterexample | None, mends: Sequence[Mend], console: Console) -> None:
    """The counterexample as a table and a picture of the lane, and what would mend it."""
    lane = plan.demand()
    load = f"loaded {float(lane.utilisation) * 100:.1f} %"
    console.print(Text("infeasible", "bold red"), f"mode '{plan.mode}', lane '{plan.lane}' ({load})")
    if found is None:
        console.print("  the lane is overloaded in the long run; the smallest pattern has more than 400 samples")
    else:
        show_counterexample(found, console)
    if mends:
        console.print("any one of these mends it:" if mends[0].stream else "what mends it:")
    else:
        console.print("nothing that was tried mends it: not even 32 times the periods")
    for mend in mends:
        console.print(f"  - {mend.text}")


def show_counterexample(found: Counterexample, console: Console) -> None:
    """Who is captured when, who holds the lane, who is late by how much; times in ms from the worst instant."""
    console.print(
        f"  at 0 the lane is still held for {_ms(found.held_ns)} ms by {found.held_by}; times in ms from then"
    )
    table = Table()
    table.add_column("")
    table.add_column("stream")
    for name in ("captured", "comes", "needed by", "done", "late by"):
        table.add_column(name, justify="right")
    for number, each in enumerate(found.samples):
        late = _ms(each.late_ns) if each.late_ns else ""
        cells = (
            _sign(number),
            each.stream,
            _ms(each.captured_ns),
            _ms(each.arrives_ns),
            _ms(each.due_ns),
            _ms(each.done_ns),
        )
        table.add_row(*cells, late, style="bold red" if late else None)
    console.print(table)
    for line in timeline(found):
        console.print(f"  {line}")


def _sign(number: int) -> str:
    return _SIGNS[number % len(_SIGNS)]


def timeline(found: Counterexample) -> list[str]:
    """The lane as a row of letters (`=`: held, `.`: idle), a row of dues (`|`, `!` where missed) below it, and a scale."""
    end = max(1, *(turn.end for turn in found.turns), *(each.due_ns for each in found.samples))

    def column(ns: int) -> int:
        return min(_WIDTH - 1, max(0, ns) * _WIDTH // end)

    lane, dues = ["."] * _WIDTH, [" "] * _WIDTH
    for turn in found.turns:
        for place in range(column(turn.start), max(column(turn.start) + 1, column(turn.end))):
            lane[place] = "=" if turn.job < 0 else _sign(turn.job)
    for each in found.samples:
        dues[column(each.due_ns)] = "!" if each.late_ns else "|" if dues[column(each.due_ns)] != "!" else "!"
    return [f"lane  {''.join(lane)}", f"dues  {''.join(dues)}", f"      0{_ms(end):>{_WIDTH - 1}} ms"]
