"""A link model as a TOML file that a person can read and change.

Rules: `format` and `version` come first and are looked at first; every key is known, every needed one is there; a bad file is
refused whole, with what is wrong; a file that was cut off is never taken for a whole one (it ends in the table `end`).
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hedgerow.errors import HostError, UsageError
from hedgerow.simulation.links.model import LABELS, Blackouts, Delay, Gaps, Label, LinkModel, Loss, Rates, Source

FORMAT: Final = "hedgerow-link-model"
VERSION: Final = 1
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
_AGAIN: Final = "write it again with `hedgerow link fit`"
_HEAD: Final = """\
# A generated link: hedgerow.simulation.links. All figures are per step of step_s; {kind}.
# Whatever is made from this is generated, not recorded.
"""
_KINDS: Final[dict[Label, str]] = {
    "fitted": "fitted to recorded traces",
    "published": "from published figures",
    "assumed": "assumed",
}


def to_toml(model: LinkModel) -> str:
    """The document. Reading it back gives an equal model."""
    source, rates, delay = model.source, model.rates, model.delay
    lines = [
        _HEAD.format(kind=_KINDS[source.label]).rstrip(),
        f'format = "{FORMAT}"',
        f"version = {VERSION}",
        f"name = {_text(model.name)}",
        f"radio = {_text(model.radio)}",
        f"step_s = {_number(model.step_s)}",
        "",
        "[source]",
        f'label = "{source.label}"',
        f"text = {_text(source.text)}",
        f"licence = {_text(source.licence)}",
        f"rows = {source.rows}",
        f"seconds = {_number(source.seconds)}",
        f'sha256 = "{source.sha256}"  # of the traces, one after the other in the order of their names',
        f"traces = {_texts(source.traces)}",
        "",
        "[rates]",
        "# a Markov chain; row i: the chances of the states that follow state i one step later",
        f"down_over_up = {_number(rates.down_over_up)}  # the downlink, where down_mbps is empty",
        f"points = {_numbers(rates.points)}  # probabilities within a state",
        f"transitions = {_table(rates.transitions)}",
        f"none = {_numbers(rates.none)}  # by state, the share without any rate; the rest follows the points",
        f"up_mbps = {_table(rates.up_mbps)}  # by state, at these points",
        f"down_mbps = {_table(rates.down_mbps)}",
        f"slow_share = {_number(rates.slow_share)}  # of the variance of the score within a state; the rest is the fast one's",
        f"slow_memory = {_number(rates.slow_memory)}  # AR(1) factors a step",
        f"fast_memory = {_number(rates.fast_memory)}",
        "",
        "[delay]",
        f"points = {_table(delay.points)}  # probability, round trip in ms",
        f"tail_index = {_number(delay.tail_index)}  # Pareto, above the last point; 0: no tail",
        f"longest_ms = {_number(delay.longest_ms)}",
        f"slow_share = {_number(delay.slow_share)}  # of the score's variance; the rest is the fast one's",
        f"slow_memory = {_number(delay.slow_memory)}",
        f"fast_memory = {_number(delay.fast_memory)}",
        "",
        "[loss]",
        f"begin = {_number(model.loss.begin)}  # Gilbert-Elliott p",
        f"end = {_number(model.loss.end)}  # and r; mean burst 1 / r probes",
        "",
        "[gaps]",
        f"per_hour = {_number(model.gaps.per_hour)}",
        f"mean_s = {_number(model.gaps.mean_s)}",
        f"raised = {_number(model.gaps.raised)}  # the round trip after one, as a factor",
        f"memory = {_number(model.gaps.memory)}  # of that factor's logarithm",
        "",
        "[blackouts]",
        f"per_hour = {_number(model.blackouts.per_hour)}",
        f"mean_s = {_number(model.blackouts.mean_s)}",
        "",
        "[end]",
        "whole = true",
    ]
    return "\n".join(lines) + "\n"


def write(model: LinkModel, path: Path) -> None:
    """Write the document. HostError when it cannot be written."""
    try:
        path.write_text(to_toml(model), encoding="utf-8")
    except OSError as error:
        raise HostError(f"cannot write the link model {path}: {error.strerror}") from None


def read(path: Path) -> LinkModel:
    """The model in a file. UsageError for a file that is none or is cut off, HostError when it cannot be read."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError(f"{path} is larger than {FILE_BYTES_MAX} bytes: no link model is; {_AGAIN}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no link model {path}: {_AGAIN}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8: give a link model") from None
    except OSError as error:
        raise HostError(f"cannot read the link model {path}: {error.strerror}") from None
    return of_toml(text, str(path))


def of_toml(text: str, where: str) -> LinkModel:
    """The model in a text; `where` names it in errors. UsageError as `read` does."""
    try:
        top = _Table(where, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not readable TOML: {error}; if it was cut off, {_AGAIN}") from None
    if top.values.get("format") != FORMAT:
        raise UsageError(
            f'{where} is no link model: it lacks format = "{FORMAT}"; give one that `hedgerow link fit` wrote'
        )
    found = top.values.get("version")
    if type(found) is not int or found != VERSION:
        raise UsageError(f"{where} is a link model of version {found!r}, this Hedgerow reads {VERSION}: {_AGAIN}")
    if top.values.get("end") != {"whole": True}:
        raise UsageError(f"{where} does not end in [end] whole = true, it looks cut off: {_AGAIN}")
    try:
        return _model(top)
    except UsageError as error:
        message = str(error)
        raise UsageError(message if message.startswith(where) else f"{where}: {message}") from None


def _model(top: "_Table") -> LinkModel:
    source, rates, delay = top.table("source"), top.table("rates"), top.table("delay")
    loss, gaps, blackouts = top.table("loss"), top.table("gaps"), top.table("blackouts")
    label = source.text("label")
    if label not in LABELS:
        raise UsageError(f"source.label is {label!r}: one of {', '.join(LABELS)}")
    model = LinkModel(
        name=top.text("name"),
        radio=top.text("radio"),
        step_s=top.number("step_s"),
        rates=Rates(
            points=rates.numbers("points"),
            transitions=rates.rows("transitions"),
            up_mbps=rates.rows("up_mbps"),
            none=rates.numbers("none"),
            down_mbps=rates.rows("down_mbps"),
            down_over_up=rates.number("down_over_up"),
            slow_share=rates.number("slow_share"),
            slow_memory=rates.number("slow_memory"),
            fast_memory=rates.number("fast_memory"),
        ),
        delay=Delay(
            points=tuple(delay.pair("points", row) for row in delay.rows("points")),
            longest_ms=delay.number("longest_ms"),
            tail_index=delay.number("tail_index"),
            slow_share=delay.number("slow_share"),
            slow_memory=delay.number("slow_memory"),
            fast_memory=delay.number("fast_memory"),
        ),
        source=Source(
            label=label,
            text=source.text("text"),
            licence=source.text("licence"),
            traces=source.texts("traces"),
            rows=source.count("rows"),
            seconds=source.number("seconds"),
            sha256=source.text("sha256"),
        ),
        loss=Loss(begin=loss.number("begin"), end=loss.number("end")),
        gaps=Gaps(gaps.number("per_hour"), gaps.number("mean_s"), gaps.number("raised"), gaps.number("memory")),
        blackouts=Blackouts(blackouts.number("per_hour"), blackouts.number("mean_s")),
    )
    for name in ("format", "version", "end"):
        top.taken.add(name)
    for table in (top, source, rates, delay, loss, gaps, blackouts):
        table.check_all_known()
    return model


class _Table:
    """One table of the document: hands out typed values by name and remembers which were asked for."""

    def __init__(self, where: str, name: str, values: dict[str, Any]) -> None:
        self.where, self.name, self.values = where, name, values
        self.taken: set[str] = set()

    def table(self, key: str) -> "_Table":
        value = self._take(key)
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table")
        return _Table(self.where, f"{key}.", value)

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._wrong(key, value, "a list of texts")
        return tuple(value)

    def number(self, key: str) -> float:
        return self._number(key, self._take(key))

    def count(self, key: str) -> int:
        value = self._take(key)
        if type(value) is not int:
            raise self._wrong(key, value, "a whole number")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        return self._numbers(key, self._take(key))

    def rows(self, key: str) -> tuple[tuple[float, ...], ...]:
        value = self._take(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list of lists of numbers")
        return tuple(self._numbers(key, row) for row in value)

    def pair(self, key: str, row: Sequence[float]) -> tuple[float, float]:
        if len(row) != 2:
            raise self._wrong(key, list(row), "pairs")
        return row[0], row[1]

    def check_all_known(self) -> None:
        for key in self.values:
            if key not in self.taken:
                raise UsageError(f"{self.where}: {self.name}{key} is not known: take it out, or {_AGAIN}")

    def _numbers(self, key: str, value: Any) -> tuple[float, ...]:
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list of numbers")
        return tuple(self._number(key, each) for each in value)

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(key, value, "a number")
        try:
            return float(value)
        except OverflowError:
            raise self._wrong(key, "a number of hundreds of digits", "one that is not so large") from None

    def _take(self, key: str) -> Any:
        self.taken.add(key)
        if key not in self.values:
            raise UsageError(f"{self.where} lacks {self.name}{key}: {_AGAIN}")
        return self.values[key]

    def _wrong(self, key: str, value: Any, wanted: str) -> UsageError:
        return UsageError(f"{self.where}: {self.name}{key} is {str(value)[:60]!r}: give {wanted}")


def _text(text: str) -> str:
    """A basic TOML string: quotes, backslashes and what cannot be seen are escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in escaped) + '"'


def _texts(texts: Sequence[str]) -> str:
    return "[" + ", ".join(_text(each) for each in texts) + "]"


def _number(value: float) -> str:
    return repr(float(value))


def _numbers(values: Sequence[float]) -> str:
    return "[" + ", ".join(_number(each) for each in values) + "]"


def _table(rows: Sequence[Sequence[float]]) -> str:
    return "[" + "".join(f"\n  {_numbers(row)}," for row in rows) + ("\n" if rows else "") + "]"
