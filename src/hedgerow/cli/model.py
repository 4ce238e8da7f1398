"""`hedgerow model`: look into a model, prove its cuts, fetch one to try."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hedgerow.errors import UsageError

if TYPE_CHECKING:
    from hedgerow.models.cuts import Cut
    from hedgerow.models.graph import Graph
    from hedgerow.models.tensors import TensorSpec
    from hedgerow.models.verify import Report

PROGRESS_PERIOD_S = 10.0
AXIS_SIZE_MAX = 1_000_000

File = Annotated[Path, typer.Argument(help="An ONNX file.")]
Tensors = Annotated[int, typer.Option("--k", help="At most so many tensors in one cut.")]
Axis = Annotated[
    list[str] | None, typer.Option("--axis", help="Size of a dynamic axis, NAME=SIZE; may be given again.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    verbs = typer.Typer(no_args_is_help=True, help="Look into a model, prove its cuts, fetch one to try.")
    verbs.command()(inspect)
    verbs.command()(verify)
    verbs.command()(fetch)
    app.add_typer(verbs, name="model")


def inspect(file: File, k: Tensors = 1, axis: Axis = None, as_json: Json = False) -> None:
    """Show where a model can be cut: the tensors that cross, their shapes and bytes, the share of work before."""
    from hedgerow.models.cuts import blocked_places, find_cuts
    from hedgerow.models.graph import Graph

    graph = Graph.open(file, axes=_axes(axis))
    cuts = find_cuts(graph, k)
    blocked = blocked_places(graph, k)
    if as_json:
        print(json.dumps(_as_dict(graph, cuts, blocked)))
    else:
        print("\n".join(_as_lines(graph, cuts, blocked)))


def verify(
    file: File,
    inputs: Annotated[
        Path | None, typer.Option("--input", help="An .npz file with an array for each input (else generated).")
    ] = None,
    k: Tensors = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generated inputs.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Try at most so many cuts, spread over the depth.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the engine.")] = 1,
    axis: Axis = None,
    as_json: Json = False,
) -> None:
    """Run a model whole and as head + tail at every candidate cut, and compare. Exit code 1 if any cut is wrong."""
    from hedgerow.models.graph import Graph
    from hedgerow.models.samples import load_inputs
    from hedgerow.models.verify import verify as verify_cuts

    sizes = _axes(axis)
    graph = Graph.open(file, axes=sizes)
    tensors = load_inputs(inputs, graph.inputs) if inputs else None
    report = verify_cuts(graph, tensors, k=k, seed=seed, axes=sizes, limit=limit, threads=threads, progress=_progress())
    tried = len(report.verdicts)
    if tried < report.candidates:
        print(f"NOTE: only {tried} of {report.candidates} cuts were tried (--limit {limit})", file=sys.stderr)
    for cut, wrong in report.wrong:
        print(f"WRONG at cut {cut.index} '{cut.name}': {wrong}", file=sys.stderr)
    print(json.dumps(report.to_dict()) if as_json else _summary(report))
    if report.wrong:
        raise typer.Exit(1)


def fetch(
    name: Annotated[str, typer.Argument(help="mobilenet-v2, efficientnet-lite2, photographs or imagenet (all).")],
    home: Annotated[Path | None, typer.Option(help="Where to keep it (default: Hedgerow's own folder).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is already there.")] = False,
) -> None:
    """Fetch a model, photographs, or the whole `imagenet` task, and print where it lies."""
    from hedgerow.models.fetch import fetch as fetch_named

    print(fetch_named(name, home=home, force=force))


def _axes(options: list[str] | None) -> dict[str, int]:
    """NAME=SIZE pairs."""
    sizes = {}
    for option in options or ():
        name, separator, size = option.rpartition("=")
        if not separator or not name or not size.isdecimal() or not 1 <= int(size) <= AXIS_SIZE_MAX:
            raise UsageError(f"--axis takes NAME=SIZE with a size of 1 to {AXIS_SIZE_MAX:,}, not '{option}'")
        sizes[name] = int(size)
    return sizes


def _progress() -> Callable[[int, int], None]:
    """Says on stderr how far it is: in place on a terminal, else a line now and then."""
    terminal = sys.stderr.isatty()
    told_s = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told_s
        if terminal:
            print(f"\rcut {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif time.monotonic() - told_s >= PROGRESS_PERIOD_S:
            told_s = time.monotonic()
            print(f"cut {done} of {total}", file=sys.stderr, flush=True)

    return tell


def _summary(report: "Report") -> str:
    """The report as one line for people."""
    found = report.to_dict()
    if not found["cuts"]:
        return "no cut to try: the model runs whole only; `hedgerow model inspect` says why"
    return (
        f"{found['cuts']} cuts: {found['bit_equal']} bit-equal, worst relative difference {found['worst_relative']}, "
        f"same top-1 at {found['top1_agree']}, {found['wrong']} wrong"
    )


def _as_dict(graph: "Graph", cuts: list["Cut"], blocked: list[str]) -> dict[str, object]:
    def specs(tensors: tuple["TensorSpec", ...]) -> list[dict[str, object]]:
        return [{"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in tensors]

    return {
        "model_id": graph.model_id,
        "inputs": specs(graph.inputs),
        "outputs": specs(graph.outputs),
        "nodes": len(graph.nodes),
        "work_multiply_adds": graph.work,
        "cuts": [
            {
                "index": cut.index,
                "name": cut.name,
                "tensors": specs(cut.tensors),
                "bytes": cut.bytes,
                "work_before": cut.work_before,
            }
            for cut in cuts
        ],
        "uncuttable": blocked,
    }


def _as_lines(graph: "Graph", cuts: list["Cut"], blocked: list[str]) -> list[str]:
    lines = [
        f"model    {graph.model_id}",
        *(f"input    {spec.name}  {_shape(spec)}" for spec in graph.inputs),
        *(f"output   {spec.name}  {_shape(spec)}" for spec in graph.outputs),
        f"work     {graph.work / 1e6:,.1f} million multiply-adds in {len(graph.nodes)} nodes (estimated from shapes)",
        *_assumed(graph),
        "",
    ]
    if cuts:
        rows = [("cut", "bytes", "work before", "tensors and shapes")]
        for cut in cuts:
            tensors = " + ".join(f"{spec.name}  {_shape(spec)}" for spec in cut.tensors)
            rows.append((str(cut.index), f"{cut.bytes:,}", f"{cut.work_before:.1%}", tensors))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines += ["  ".join((*(cell.rjust(w) for cell, w in zip(row, widths, strict=False)), row[3])) for row in rows]
    else:
        lines.append("no candidate cuts: this model runs whole only")
    lines += [f"not cut: {reason}" for reason in blocked]
    return lines


def _assumed(graph: "Graph") -> list[str]:
    """With which sizes of dynamic axes bytes and work are counted."""
    sizes = ", ".join(f"{name}={size}" for name, size in graph.assumed_axes.items())
    return [f"sizes    {sizes} (assumed for bytes and work; --axis NAME=SIZE sets another)"] if sizes else []


def _shape(spec: "TensorSpec") -> str:
    """float32[1,3,?,width]"""
    return f"{spec.dtype}[{','.join('?' if axis is None else str(axis) for axis in spec.shape)}]"
