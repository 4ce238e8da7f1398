"""`hedgerow link fit`: a generated link's model from a folder of recorded traces, and how close it comes to them."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.errors import UsageError

if TYPE_CHECKING:
    from hedgerow.simulation.course import Course
    from hedgerow.simulation.links.model import LinkModel
    from hedgerow.simulation.links.statistics import LinkStatistics

ROUNDS = 40
"""The comparison draws so many courses for each trace, each as long as that trace: the generated side's noise is small."""


FAR = 0.25  # how far a generated median may lie from its source before that is said aloud


def fit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of CSV traces.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the model goes (TOML).")],
    pattern: Annotated[str, typer.Option("--only", metavar="GLOB", help="Which files of the folder.")] = "*.csv",
    name: Annotated[str, typer.Option(help="The model's name.")] = "fitted",
    licence: Annotated[str, typer.Option(help="The traces' licence, kept in the model.")] = "",
    said: Annotated[str, typer.Option("--source", help="Where the traces are from, kept in the model.")] = "",
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw source and generated.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the generated courses that are compared.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Fit a model of a link to all traces of a folder, and print source and generated side by side.

    A bad trace refuses the whole folder, with its line.
    """
    from hedgerow.simulation.draws import Draws
    from hedgerow.simulation.links import document
    from hedgerow.simulation.links import fit as fitting
    from hedgerow.simulation.links.generated import draw_course
    from hedgerow.simulation.links.model import Source
    from hedgerow.simulation.links.statistics import measure

    if plot is not None and plot.suffix != ".png":
        raise UsageError(f"--plot is {plot}: give a file that ends in .png")
    paths = _traces(folder, pattern)
    courses = [_course(path) for path in paths]
    source = Source(
        label="fitted",
        text=said or f"{len(paths)} traces of the folder {folder.resolve().name}",
        licence=licence,
        traces=tuple(path.name.encode("utf-8", "replace").decode() for path in paths),
        rows=sum(course.rows for course in courses),
        seconds=fitting.rounded(sum(course.end_ns for course in courses) / 1e9),
        sha256=_digest(paths),
    )
    model = fitting.fit(courses, source, name=name)
    draws = Draws(seed)
    generated = [
        draw_course(model, draws.within(f"{turn}/{path.stem}"), course.end_ns / 1e9)
        for turn in range(ROUNDS)
        for path, course in zip(paths, courses, strict=True)
    ]
    seen, made = measure(courses, model.step_s), measure(generated, model.step_s)
    document.write(model, output)
    if plot is not None:
        _draw(plot, model, courses, generated, (seen, made))
    if as_json:
        print(json.dumps(_report(model, seen, made, output, plot)))
    else:
        _print(model, seen, made, output, plot)


def _traces(folder: Path, pattern: str) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give one with CSV traces in it")
    try:
        paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"--only {pattern!r}: {error}") from None
    if not paths:
        raise UsageError(f"{folder} holds no trace that matches {pattern}: give a folder with CSV files in it")
    return paths


def _course(path: Path) -> "Course":
    from hedgerow.simulation.course import Course

    course = Course.load(path)
    if course.frozen.all():
        raise UsageError(f"{path}: every probe is lost, it tells nothing of the round trip: leave it out of the folder")
    return course


def _digest(paths: list[Path]) -> str:
    digest = sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _report(
    model: "LinkModel", seen: "LinkStatistics", made: "LinkStatistics", output: Path, plot: Path | None
) -> dict[str, Any]:
    from hedgerow.simulation.links import statistics

    return {
        "model": str(output),
        "plot": None if plot is None else str(plot),
        "name": model.name,
        "source": asdict(model.source),
        "probabilities": statistics.PROBABILITIES,
        "lags_s": statistics.LAGS_S,
        "recorded": asdict(seen),
        "generated": asdict(made),
    }


def _print(model: "LinkModel", seen: "LinkStatistics", made: "LinkStatistics", output: Path, plot: Path | None) -> None:
    source = model.source
    print(f"{len(source.traces)} traces, {source.rows} rows, {source.seconds:.0f} s -> {output} (generated link)")
    if plot is not None:
        print(f"drawn in {plot}")
    far: list[str] = []
    print(f"{'':32}{'source':>12}{'generated':>12}{'difference':>12}")
    for words, one, other in compared(seen, made):
        shown = [" -" if value is None else f"{value:.4g}" for value in (one, other)]
        print(f"{words:32}{shown[0]:>12}{shown[1]:>12}{_difference(one, other):>12}")
        far += [words] if words.endswith(" p50") and one and other and abs(other / one - 1) > FAR else []
    for words in far:
        print(
            f"hedgerow: the model is far from its source in {words}: give more traces, or longer ones", file=sys.stderr
        )


def compared(seen: "LinkStatistics", made: "LinkStatistics") -> Iterator[tuple[str, float | None, float | None]]:
    """(what, source, generated), line by line."""
    from hedgerow.simulation.links.statistics import BURSTS_COUNTED, LAGS_S, PROBABILITIES

    for words, name in (("round trip ms", "round_trip_ms"), ("uplink Mbit/s", "up_mbps")):
        for place, probability in enumerate(PROBABILITIES):
            yield f"{words} p{100 * probability:g}", getattr(seen, name)[place], getattr(made, name)[place]
    for words, name in (("round trip", "round_trip_memory"), ("uplink", "up_memory")):
        for place, lag_s in enumerate(LAGS_S):
            yield f"{words} autocorrelation {lag_s:g} s", getattr(seen, name)[place], getattr(made, name)[place]
    yield "probes lost %", 100 * seen.lost_share, 100 * made.lost_share
    for place in range(BURSTS_COUNTED):
        words = f"bursts of {place + 1}{' or more' if place + 1 == BURSTS_COUNTED else ''} an hour"
        yield words, seen.bursts_per_hour[place], made.bursts_per_hour[place]
    yield "burst mean, probes", seen.burst_mean_probes, made.burst_mean_probes
    yield "blackouts an hour", seen.blackouts_per_hour, made.blackouts_per_hour
    yield "blackout mean s", seen.blackout_mean_s, made.blackout_mean_s


def _difference(one: float | None, other: float | None) -> str:
    """In percent of the source; nothing where the source is nothing."""
    return "-" if one is None or other is None or abs(one) < 1e-12 else f"{100 * (other / one - 1):+.1f} %"


def _draw(
    path: Path,
    model: "LinkModel",
    courses: "list[Course]",
    generated: "list[Course]",
    told: "tuple[LinkStatistics, LinkStatistics]",
) -> None:
    import numpy as np

    from hedgerow.simulation.links.statistics import LAGS_S, sample
    from hedgerow.views.links import Side, draw_links

    sides = []
    for name, group, numbers in (("source", courses, told[0]), ("generated", generated, told[1])):
        series = [sample(course, model.step_s) for course in group]
        sides.append(
            Side(
                name=name,
                round_trip_ms=np.concatenate([each.round_trip_ms[~each.lost] for each in series]),
                up_mbps=np.concatenate([each.up_mbps for each in series]),
                round_trip_memory=numbers.round_trip_memory,
                up_memory=numbers.up_memory,
                bursts_per_hour=(*numbers.bursts_per_hour, numbers.blackouts_per_hour),
            )
        )
    draw_links(
        path,
        sides,
        lags_s=LAGS_S,
        title=f"{model.name}: {len(model.source.traces)} recorded traces and what the model generates",
    )
