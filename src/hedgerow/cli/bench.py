"""`hedgerow bench`: what Hedgerow itself costs on this machine."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    bench = typer.Typer(no_args_is_help=True, help="Measure what Hedgerow itself costs on this machine.")
    bench.command(name="decide")(decide)
    bench.command(name="overhead")(overhead)
    bench.command(name="determinism")(determinism)
    bench.command(name="guard")(guard)
    bench.command(name="sweep")(sweep)
    bench.command(name="adapt")(adapt)
    app.add_typer(bench, name="bench")


def decide(
    arms: Annotated[int, typer.Option(min=3, max=4096, help="Arms to choose from.")] = 64,
    count: Annotated[int, typer.Option(min=100, help="Decisions to time.")] = 3000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Time one decision, with a new fact, deadline and link state before each."""
    from hedgerow.benchmarks.decide import bench_decide

    _print(bench_decide(arms, count), as_json)


def overhead(
    runs: Annotated[int, typer.Option(min=120, help="Runs of each kind.")] = 300,
    timers: Annotated[int, typer.Option(min=100, help="Timers to time.")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare MobileNetV2 through a session with bare ONNX Runtime, and remote answers with their parts."""
    from hedgerow.benchmarks.overhead import bench_overhead

    sys.setswitchinterval(0.0005)
    _print(bench_overhead(runs=runs, timers=timers, say=lambda text: print(text, file=sys.stderr)), as_json)


def determinism(
    requests: Annotated[
        int, typer.Option(min=100, help="Requests with each setting on, and as many with it off.")
    ] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare each determinism setting on and off, by turns, beside the load that it is meant for."""
    from dataclasses import asdict

    from hedgerow.benchmarks.determinism import bench_determinism, table

    rows = bench_determinism(requests=requests, say=lambda text: print(text, file=sys.stderr))
    print(json.dumps({"rows": [asdict(row) for row in rows]}) if as_json else table(rows))


def guard(
    frames: Annotated[int, typer.Option(min=120, help="Answers of each kind, and frames of the stream.")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """What the guard adds to an answer's way, and frames that it left without a message; exit code 1 if there are any."""
    from hedgerow.benchmarks.guard import bench_guard

    figures = bench_guard(frames=frames, say=lambda text: print(text, file=sys.stderr))
    _print(figures, as_json)
    if figures["safe_values_missed"] or figures["more_than_one_message"]:
        raise typer.Exit(1)


def sweep(
    arms: Annotated[int, typer.Option(min=3, max=4096, help="Arms to choose from.")] = 64,
    moments: Annotated[int, typer.Option(min=100, help="Decisions to make, by one belief sample each.")] = 200_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Time very many decisions at once, as comparisons over whole planes of links and deadlines make them."""
    from hedgerow.benchmarks.sweep import bench_sweep

    _print(bench_sweep(arms, moments), as_json)


def adapt(
    holdout: Annotated[
        Path | None, typer.Option(help="A folder of photographs to judge on, instead of the kept part of DATA/images.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with images/ and cifar10_jpeg.npz (default: that of `make adapt`).")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="This figure alone; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Judge what `make adapt` made: int8, exits, cascade, reuse, bottleneck, arbitration; exit code 1 if one is missing."""
    from hedgerow.benchmarks.adapt import SKIPPED, bench_adapt, table
    from hedgerow.cli._adapt_all import progress

    found = bench_adapt(data=data, holdout=holdout, only=only or (), say=progress())
    print(json.dumps(found) if as_json else table(found, holdout=holdout is not None))
    if any(SKIPPED in figures for figures in found.values()):
        raise typer.Exit(1)


def _print(figures: dict[str, float], as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:26} {value:g}")
