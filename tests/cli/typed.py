"""A command as typed, in this process: starting another one costs a second of imports and proves nothing more, except where the
process itself is the point (signals, exit of a server)."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from hedgerow.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process would have left."""

    returncode: int
    stdout: str
    stderr: str


def hedgerow(*words: str | Path) -> Ended:
    """`hedgerow WORDS` through the same entry point as the installed command."""
    out, err, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["hedgerow", *map(str, words)]):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, out.getvalue(), err.getvalue())
