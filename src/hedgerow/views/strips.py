"""Small drawings made of characters: a bar against a deadline, a strip of latencies over time."""

from collections.abc import Iterable, Sequence

from rich.text import Text

from hedgerow.views.kinds import LOOKS
from hedgerow.views.state import Shot

_STEPS = "▁▂▃▄▅▆▇█"
_LATE = "bold red"


def deadline_bar(value_ms: float, deadline_ms: float, *, width: int = 40) -> Text:
    """A bar whose three quarters are the deadline; what is beyond it is red.

    >>> deadline_bar(50.0, 100.0, width=8).plain
    '━━━···|··'
    """
    limit = max(1, width * 3 // 4)
    full = min(width, round(limit * value_ms / deadline_ms))
    text = Text()
    text.append("━" * min(full, limit), "green")
    text.append("·" * max(0, limit - full), "dim")
    text.append("|", "bold")
    text.append("━" * max(0, full - limit), _LATE)
    text.append("·" * (width - max(full, limit)), "dim")
    return text


def recent_strip(shots: Sequence[Shot], deadline_ms: float, *, width: int = 60) -> Text:
    """The last `width` answers, one character each: height is age (the full block is the deadline), colour who answered."""
    text = Text()
    for shot in list(shots)[-width:]:
        text.append(*_cell(shot, deadline_ms))
    return text


def timed_strip(shots: Iterable[Shot], deadline_ms: float, *, span_ms: float, width: int) -> Text:
    """All answers over `span_ms`, the worst of each column's time; a column without an answer is blank."""
    worst: dict[int, Shot] = {}
    for shot in shots:
        column = min(width - 1, max(0, int(shot.t_ms / span_ms * width)))
        before = worst.get(column)
        if before is None or (shot.late, shot.age_ms) > (before.late, before.age_ms):
            worst[column] = shot
    text = Text()
    for column in range(width):
        if column in worst:
            text.append(*_cell(worst[column], deadline_ms))
        else:
            text.append(" ")
    return text


def _cell(shot: Shot, deadline_ms: float) -> tuple[str, str]:
    if shot.late:
        return "█", _LATE
    step = min(len(_STEPS) - 1, int(shot.age_ms / deadline_ms * len(_STEPS)))
    return _STEPS[step], LOOKS[shot.kind].terminal


def legend() -> Text:
    """What the colours mean."""
    text = Text("height: age up to the deadline  ", "dim")
    for kind, look in LOOKS.items():
        if kind != "no answer":
            text.append("█", look.terminal)
            text.append(f"{kind} ", "dim")
    text.append("█", _LATE)
    text.append("late", "dim")
    return text
