"""`hedgerow link draw`: a trace drawn from a generated link's model, for the emulated link to play."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hedgerow.errors import HostError, UsageError

if TYPE_CHECKING:
    from hedgerow.simulation.links.model import LinkModel


def draw(
    model: Annotated[
        str, typer.Argument(help="A file that `hedgerow link fit` wrote, or the name of a model that comes along.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.csv", help="Where the trace goes.")],
    seconds: Annotated[float, typer.Option(help="How long it is.")] = 90.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another course.")] = 0,
) -> None:
    """Draw a GENERATED trace from a model: `hedgerow link --trace FILE.csv` plays it.

    The same model and seed give the same trace; a longer one begins with the shorter one.
    """
    from hedgerow.emulation.traces import ROWS_MAX
    from hedgerow.simulation.draws import Draws
    from hedgerow.simulation.links.generated import draw_course, to_csv

    made = _model(model)
    if seconds / made.step_s > ROWS_MAX:
        raise UsageError(
            f"{seconds:g} s in steps of {made.step_s:g} s are more rows than a trace may have ({ROWS_MAX})"
        )
    course = draw_course(made, Draws(seed), seconds)
    try:
        output.write_text(to_csv(course), encoding="utf-8")
    except OSError as error:
        raise HostError(f"cannot write the trace {output}: {error.strerror}") from None
    print(
        f"{course.rows} rows, {seconds:g} s of {made.name} -> {output} (generated, {made.source.label}: {made.source.text})"
    )


def _model(named: str) -> "LinkModel":
    from hedgerow.simulation.links import names, published
    from hedgerow.simulation.links.document import read

    if named in names():
        return published(named)
    if not Path(named).exists():
        raise UsageError(f"there is no link model {named}: give a file, or one of {', '.join(names())}")
    return read(Path(named))
