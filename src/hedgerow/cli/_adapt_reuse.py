"""`hedgerow adapt reuse`: how much a frame may differ before the last answer no longer stands."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hedgerow.errors import UsageError


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("reuse")(reuse)


def reuse(
    task: Annotated[Path, typer.Argument(help="A task file.")],
    images: Annotated[Path, typer.Option(help="A folder of pictures, from which sequences are made; 3 of 10 judge.")],
    clip: Annotated[
        list[Path] | None, typer.Option("--clips", help="A video of yours (extra `video`); may be given again.")
    ] = None,
    at_most: Annotated[float, typer.Option(help="Share of frames whose reused answer may differ.")] = 0.05,
    level: Annotated[float, typer.Option(help="Confidence with which that holds.")] = 0.95,
    age_max_ms: Annotated[float, typer.Option(help="For how long an answer may stand at most.")] = 1000.0,
    model: Annotated[list[str] | None, typer.Option(help="Who answers (default: every model of the task).")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write it for `hedgerow run --reuse`; never overwrites.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the motion that is made.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Calibrate `reuse_below` on sequences made from pictures and on clips, and judge it on others."""
    from hedgerow.adaptation.reusing import ALIKE, Watcher, apart, calibrate, check_asked, check_units, judge
    from hedgerow.adaptation.sources import check_readable, of_parts, picture_paths
    from hedgerow.cli._adapt_all import progress
    from hedgerow.cli._outputs import check_new
    from hedgerow.codecs.video import read_clip
    from hedgerow.models.home import write_whole
    from hedgerow.models.task import Task

    check_new(out)
    opened, say = Task.load(task), progress()
    models = tuple(model or [each.name for each in opened.models])
    for each in models:
        opened.model(each)
    paths = picture_paths(images)
    calibrating, judging = of_parts(paths, "train", "calibrate"), of_parts(paths, "judge")
    check_asked(at_most, level, age_max_ms)
    check_readable(paths)
    _check_clips(clip or ())
    with Watcher(opened, models) as watcher:
        filmed = [watcher.track(each.name, read_clip(each), made=False) for each in clip or ()]
        check_units(len(calibrating) + sum(len(each.units) for each in filmed), at_most, level)
        tracks = [*watcher.made(calibrating, seed=seed, say=say), *filmed]
        found = calibrate(tracks, at_most=at_most, level=level, age_max_ms=age_max_ms)
        others = watcher.made(judging, seed=seed, say=say)
    scores = apart(tracks)
    alike = float((scores <= found.reuse_below).mean()) if scores.size else None
    judged = {each: judge(others, each, found.reuse_below, age_max_ms) for each in models} if others else {}
    if out is not None:
        told = {"reuse_below": found.reuse_below, "reuse_age_max_ms": age_max_ms}
        write_whole(out, (json.dumps(told, indent=1) + "\n").encode())
    if as_json:
        print(json.dumps({"reuse": asdict(found), "judged": judged, "different_pictures_pass": alike}))
        return
    print(f"reuse_below = {found.reuse_below:g}\nreuse_age_max_ms = {age_max_ms:g}")
    print(
        f"calibrated on {found.units} sequences and seconds ({found.sources['made']} made frames, {found.sources['filmed']} filmed):"
        f" {found.reused:.1%} of frames reused, {found.loss:.2%} reused and different; asked {at_most:g} at {level:g}"
    )
    if alike is not None:
        print(
            f"of pairs of different photographs {alike:.2%} would pass as the same scene; {ALIKE:.0%} is the most taken"
        )
    _show(judged, len(others))


def _check_clips(clips: Sequence[Path]) -> None:
    missing = [str(each) for each in clips if not each.is_file()]
    if missing:
        raise UsageError(f"there is no clip {missing[0]}")


def _show(judged: dict[str, dict[str, float]], count: int) -> None:
    for each, figures in judged.items():
        print(
            f"judged on {count} made sequences, {each}: {figures['reused']:.1%} reused, {figures['agreement']:.1%} of all"
            f" answers as without ({figures['agreement_of_reused']:.1%} of those reused)"
        )
