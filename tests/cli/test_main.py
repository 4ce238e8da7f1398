"""`hedgerow` itself: what it says without a verb."""

import subprocess
import sys

from hedgerow import __version__


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hedgerow.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_tells_its_version() -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stdout) == (0, f"hedgerow {__version__}\n")


def test_help_names_the_verbs_and_the_exit_codes() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    for part in ("--version", "replay", "Exit codes"):
        assert part in ended.stdout


def test_an_unknown_option_is_refused() -> None:
    assert run("--versions").returncode == 2
