"""`hedgerow profile`: measure a task on this machine (and, if one is reachable, its server) and write the profile file."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hedgerow.errors import LinkError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from hedgerow.models.task import Task
    from hedgerow.profiling.profile import Profile
    from hedgerow.profiling.times import IdleAndLoaded
    from hedgerow.wire import CloudClient

WIDTH_WITHOUT_TERMINAL = 140


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("profile")(profile)


def profile(
    task: Annotated[Path, typer.Argument(help="A task file (.toml) or a model file (.onnx).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The profile file to write.")],
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of pictures, or of .npz files for tensors, like those to come (else generated)."),
    ] = None,
    server: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A server to measure too.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1.0, help="About how long to measure.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds instead of a minute and a half; wider bounds.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of each segment.")] = 1,
    codec: Annotated[
        list[str] | None, typer.Option(help="An input codec to try besides, such as jpeg:95,292; may be given again.")
    ] = None,
) -> None:
    """Measure segments (idle and loaded), codecs, agreement, cancellation, timers, start-up and the server's times."""
    from hedgerow.cli._outputs import check_writable
    from hedgerow.cli.run import read_samples
    from hedgerow.models.task import Task
    from hedgerow.profiling import make_profile
    from hedgerow.profiling.measure import FULL, QUICK, with_codecs

    check_writable(output)
    effort = with_codecs(QUICK if quick else FULL, codec or ())
    loaded = Task.load(task) if task.suffix == ".toml" else Task.of_model(task)
    frames = read_samples(loaded, images) if images is not None else {}
    say = _progress()
    client = _client(server, loaded, say)
    try:
        made = make_profile(
            loaded, frames, seconds=seconds, quick=quick, threads=threads, server_client=client, progress=say,
            effort=effort,
        )  # fmt: skip
    finally:
        if client is not None:
            client.close()
    made.save(output)
    show(made)
    print(f"wrote {output}")


def _progress() -> Callable[[str], None]:
    started = time.monotonic()
    return lambda line: print(f"{time.monotonic() - started:6.1f} s  {line}", file=sys.stderr, flush=True)


def _client(server: str | None, task: "Task", say: Callable[[str], None]) -> "CloudClient | None":
    """A client of the server if it answers; a server that does not is said, and the profile made without it."""
    if server is None:
        return None
    from hedgerow.wire import CloudClient

    host, colon, port = server.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"--server is {server!r}: give HOST:PORT with a port from 1 to 65535")
    client = CloudClient(server)
    try:
        client.describe(models=tuple(model.name for model in task.models))
    except LinkError as error:
        client.close()
        say(f"WARNING: {error} [at fault: {error.at_fault}]; the profile is made without the server")
        return None
    return client


def show(made: "Profile") -> None:
    """Print what was measured, in two tables."""
    from hedgerow.views.literal import literal_console

    console = literal_console(width_characters=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
    machine = made.machine
    console.print(
        f"profile of task '{made.task_name}' on {machine.processor}, {machine.cores} cores, {made.made}"
        f"{' (quick)' if made.quick else ''}"
    )
    console.print(_segments_table(made))
    console.print(_arms_table(made))
    for line in _notes(made):
        console.print(line)


def _ms(duration_ns: float) -> str:
    return f"{duration_ns / 1e6:.2f}"


def _segments_table(made: "Profile") -> "Table":
    from rich.table import Table

    table = Table(
        title="Times on the device, ms (bound: what plans rely on; p99.9 or longest, and a margin, wider for few runs)"
    )
    for name in ("model", "segment"):
        table.add_column(name, overflow="fold")
    for name in ("runs", "median", "loaded median", "loaded p99.9", "bound", "tail median", "tail bound"):
        table.add_column(name, justify="right")
    for model in made.models:
        for index, segment in enumerate(model.segments):
            runs = f"{segment.time.idle.samples}+{segment.time.loaded.samples}"
            table.add_row(
                model.name if index == 0 else "", f"{index} {segment.name}", runs, *_figures(segment.time, segment.tail)
            )
    return table


def _figures(time_ns: "IdleAndLoaded", tail_ns: "IdleAndLoaded") -> list[str]:
    values = (time_ns.median_ns, time_ns.loaded.median_ns, time_ns.loaded.p999_ns, time_ns.bound_ns)
    return [_ms(value) for value in (*values, tail_ns.median_ns, tail_ns.bound_ns)]


def _arms_table(made: "Profile") -> "Table":
    from rich.table import Table

    from hedgerow.profiling.agreement import arm_name
    from hedgerow.profiling.profile import RAW_SAMPLE

    table = Table(title=f"Arms: what crosses, and agreement with {made.reference} on {len(made.samples)} samples")
    table.add_column("arm", overflow="fold")
    for name in ("bytes", "bytes p90", "encode ms", "encode bound", "decode ms", "agree", "share"):
        table.add_column(name, justify="right")
    crossings = {}
    for each in made.crossings:
        for model in (model.name for model in made.models) if each.joint == RAW_SAMPLE else (each.model,):
            crossings[arm_name(model, each.joint, each.codec)] = each
    for name, agreement in made.agreement.items():
        crossing = crossings.get(name)
        figures = ["", "", "", "", ""]
        if crossing is not None:
            encode = crossing.encode
            figures = [str(crossing.bytes_median), str(crossing.bytes_p90), _ms(encode.median_ns)]
            figures += [_ms(encode.bound_ns), _ms(crossing.decode.median_ns)]
        table.add_row(name, *figures, f"{agreement.count}/{len(made.samples)}", f"{agreement.mean:.3f}")
    return table


def _notes(made: "Profile") -> list[str]:
    timer, cancel, cloud = made.timer_lateness, made.cancellation, made.cloud
    lines = [
        f"timer late by {_ms(timer.median_ns)} ms median, {_ms(timer.max_ns)} at most of {timer.samples};"
        f" cancellation {_ms(cancel.median_ns)} ms median, {_ms(cancel.max_ns)} at most of {cancel.samples};"
        f" start-up {made.start_up_seconds:.2f} s"
    ]
    if made.delivery is not None:
        told = made.delivery
        lines.append(f"delivery {_ms(told.median_ns)} ms median, {_ms(told.max_ns)} at most of {told.samples}")
    if cloud.round_trip is not None:
        lines.append(
            f"server {cloud.address}: round trip {_ms(cloud.round_trip.median_ns)} ms median,"
            f" {_ms(cloud.round_trip.max_ns)} at most of {cloud.round_trip.samples}; uplink {cloud.uplink_mbps:g} Mbit/s"
        )
    for name, segments in cloud.segments_ns.items():
        text = "not measured: plans take this machine's times" if segments is None else f"{_ms(sum(segments))} ms"
        lines.append(f"{name} in the cloud: {text}")
    return lines
