"""`hedgerow faults`: attack real processes, 15 kinds of fault, each many times at random phases, and count what broke."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

QUICK_TRIALS = 1
ATTACKS, ATTACKS_QUICK = 100_000, 2_000
JUDGED = ("kinds", "trials", "requests", "unanswered", "late_link", "late_device", "wrong_accepted", "leaks")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("faults")(faults)


def faults(
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind (may be repeated).")] = None,
    trials: Annotated[int, typer.Option(min=1, max=10_000, help="Trials of each kind.")] = 20,
    seed: Annotated[int, typer.Option(help="All phases and lengths come from it.")] = 0,
    trial: Annotated[int | None, typer.Option(min=0, help="Repeat this trial of the kind alone.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One trial of each kind.")] = False,
    task: Annotated[Path | None, typer.Option(help="A task file instead of the campaign's own small models.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for every trial's record and the violated ones' files.")] = Path(
        "out/faults"
    ),
    certified: Annotated[
        int | None,
        typer.Option(min=1, help="Instead: so many blackouts and server deaths against three certified streams."),
    ] = None,
    long: Annotated[
        int | None,
        typer.Option(min=1000, help="Instead: so many requests of a tiny model, to see whether anything grows."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Attack server, link and device (15 kinds of fault) and count requests unanswered, late, wrong, and what is left behind.

    Real processes on this machine; the link and a slower device are EMULATED. Exit code 1 on any violation.
    """
    from hedgerow.campaigns.campaign import Settings, run_campaign, violated
    from hedgerow.campaigns.faults import KINDS
    from hedgerow.views.literal import literal_console

    if certified is not None:
        _certified(certified, task, out, as_json)
        return
    if long is not None:
        _long(long, out, as_json)
        return
    errors = literal_console(stderr=True)
    count = QUICK_TRIALS if quick else trials
    attacks = 0 if kind or trial is not None else ATTACKS_QUICK if quick else ATTACKS
    settings = Settings(out, tuple(kind or KINDS), count, seed, trial, task, attacks)
    result = run_campaign(settings, lambda text: errors.print(text, soft_wrap=True))
    if as_json:
        print(json.dumps(result))
    else:
        literal_console(width_characters=130).print(_table(result))
        _tell(result)
    if violated(result):
        raise typer.Exit(1)


def _certified(trials: int, task: Path | None, out: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from hedgerow.campaigns.certified import run_certified

    certificate, found = run_certified(out / "certified", trials=trials, task=task)
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        streams = ", ".join(f"{each.name} {each.deadline_ns / 1e6:g} ms" for each in certificate.declared.streams)
        print(f"certified: {streams}; {certificate.path}")
        print(f"{found.trials} faults: " + ", ".join(f"{name}: {count}" for name, count in found.phases.items()))
        print(
            f"{found.requests} requests, {found.remote} answered remotely, {found.safe_values} safe values; late"
            f" {found.late}, of these without an exceeded bound {len(found.late_unexcused)}, without a withdrawal"
            f" {len(found.late_unwithdrawn)}, beside an excess that does not explain it {len(found.late_beside_excess)};"
            f" unanswered {found.unanswered}, wrong {len(found.wrong)}"
        )
        times = ", ".join(f"{mode} {spent / 1e3:.0f} s" for mode, spent in found.by_mode_ms.items())
        print(f"bounds exceeded: {found.exceedances or 'none'}; withdrawals {found.withdrawals}; in force: {times}")
        for words in (*found.late_unexcused, *found.late_unwithdrawn, *found.wrong):
            print(f"violated: {words}")
        for words in found.late_beside_excess:
            print(f"told, no violation: {words}")
    if found.violated:
        raise typer.Exit(1)


def _long(requests: int, out: Path, as_json: bool) -> None:
    import sys

    from hedgerow.campaigns.long_run import run_long

    result = run_long(requests, out / "long", lambda text: print(text, file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:32} {value}")
    if result["grown"]:
        raise typer.Exit(1)


def _table(result: dict[str, Any]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    columns = [*JUDGED, "safe_values", "recovery_p50_ms", "recovery_max_ms"]
    columns[0] = "kind"
    table = Table(box=SIMPLE_HEAD, padding=0, title="faults on real processes; emulated link", title_justify="left")
    for column in columns:
        words = column.removesuffix("_ms").replace("_", "\n") + ("\nms" if column.endswith("_ms") else "")
        table.add_column(words, justify="left" if column == "kind" else "right", no_wrap=True)
    for each in result["by_kind"]:
        shown = ["-" if each[column] is None else f"{each[column]:.0f}" for column in columns[1:]]
        table.add_row(each["kind"], *(["not run"] + [""] * (len(columns) - 2) if each["not_run"] else shown))
    return table


def _tell(result: dict[str, Any]) -> None:
    for name, why in result["not_run"].items():
        print(f"not run: {name}: {why}")
    if "black_channel" in result:
        tally = result["black_channel"]
        print(f"black channel: {tally['tried']} attacks, {tally['wrong_accepted']} wrongly accepted")
    for each in result["violations"]:
        print(f"violated; again: {each}")
    print(", ".join(f"{name.replace('_', ' ')} {result[name]}" for name in JUDGED), f"in {result['seconds']:.0f} s")
