"""JSON for people: a line for each field, but lists of plain values stay on one line, or a profile has 20,000 lines."""

import json
from typing import Any

_LINE_CHARACTERS = 160


def readable(value: Any) -> str:
    """`value` (dicts, lists, plain values) as JSON text with a newline at its end; NaN is refused by ValueError."""
    return _text(value, 0) + "\n"


def _text(value: Any, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    nested = isinstance(value, dict | list | tuple) and any(
        isinstance(each, dict | list | tuple) for each in _inside(value)
    )
    if not nested and (len(flat) + depth <= _LINE_CHARACTERS or isinstance(value, list | tuple)):
        return flat
    if not isinstance(value, dict | list | tuple):
        return flat
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        lines = [
            f"{pad}{json.dumps(str(key), ensure_ascii=False)}: {_text(each, depth + 1)}" for key, each in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{end}}}"
    return "[\n" + ",\n".join(pad + _text(each, depth + 1) for each in value) + f"\n{end}]"


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
