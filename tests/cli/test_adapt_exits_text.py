"""`hedgerow adapt exits-text` as typed: what it refuses before anything is fetched or trained."""

from pathlib import Path

import pytest

from tests.cli.typed import Ended, hedgerow


def run(*arguments: str | Path) -> Ended:
    return hedgerow("adapt", "exits-text", *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train.tab",), "give two tables"),
        (("train.tab", "unseen.tab"), "give a folder for the task with -o"),
        (("--labels", "labels.txt"), "give --labels with tables of your own"),
        (("none.tab", "none.tab", "-o", "made"), "there is no table none.tab"),
        (("train.tab", "unseen.tab", "-o", "made"), "train.tab is not a .tab table with the columns Category and Text"),
    ],
)
def test_what_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train.tab", "unseen.tab"):
        (tmp_path / name).write_text("file,label\na,b\nc,d\ne,f\n")
    ended = run(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert not (tmp_path / "made").exists()
