"""What `hedgerow run` does beside answering, where it is asked to: let answers stand while the scene is still, and route what is unusual."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.errors import UsageError

if TYPE_CHECKING:
    from hedgerow.device.answer import Answer
    from hedgerow.device.routing import Router
    from hedgerow.device.session import Session

REUSE_BYTES_MAX = 1 << 16
ReuseOption = Annotated[
    Path | None, typer.Option("--reuse", help="Let the last answer stand as this file of `hedgerow adapt reuse` says.")
]
RouterOption = Annotated[
    Path | None, typer.Option("--router", help="Look for unusual samples with this file of `hedgerow adapt route`.")
]
SpoolOption = Annotated[Path | None, typer.Option("--spool", help="Keep unusual samples in this folder, with reasons.")]
SendOption = Annotated[
    int,
    typer.Option("--send-bytes-per-hour", min=0, help="Ask the server at once about the most unusual, so many bytes."),
]
Look = Callable[[Any, "Answer"], None]


def declare_reuse(session: "Session", path: Path | None, stream: dict[str, Any]) -> None:
    """Open the session's own stream again with what the file says; UsageError for one that is none."""
    if path is None:
        return
    if session.governed:
        raise UsageError(
            "the streams of a certified session are the certificate's; declare reuse_below in its streams file"
        )
    from hedgerow.models.home import read_whole

    data = read_whole(path, "reuse file", bytes_max=REUSE_BYTES_MAX, made_by="hedgerow adapt reuse -o")
    try:
        found = json.loads(data)
        told: dict[str, Any] = {name: float(found[name]) for name in ("reuse_below", "reuse_age_max_ms")}
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no file of `hedgerow adapt reuse -o`") from None
    session.open_stream("main", **stream, **told)


def routing(
    stack: ExitStack, session: "Session", router: Path | None, spool: Path | None, send: int, say: Callable[[str], None]
) -> Look | None:
    """A function that takes each sample with its answer; None where no router is given."""
    if router is None and spool is None and not send:
        return None
    if router is None or spool is None:
        raise UsageError("--router and --spool go together: who decides, and where it is kept")
    from hedgerow.device.routing import Router
    from hedgerow.device.spool import Spool
    from hedgerow.models.unusual import Scorer

    scorer = Scorer.load(router)
    found = stack.enter_context(Router(session, scorer, Spool(spool), bytes_per_hour=send, say=say))
    stack.callback(lambda: say(_told(found, spool)))
    return found.take


def _told(router: "Router", spool: Path) -> str:
    router.close()
    counts = ", ".join(f"{name} {count}" for name, count in sorted(router.counts.items())) or "nothing was looked at"
    if router.counts["spooled"]:
        return f"unusual samples: {counts}; kept in {spool}"
    passed_by = any(name.startswith("of another model") for name in router.counts)
    hint = "; make the router for the model that answers (`hedgerow adapt route --model`)" if passed_by else ""
    return f"unusual samples: {counts}; none was kept{hint}"
