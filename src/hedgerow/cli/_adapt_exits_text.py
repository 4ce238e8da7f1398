"""`hedgerow adapt exits-text`: early exits in a text encoder, taught by labelled texts, gates calibrated on texts of their own."""

from pathlib import Path
from typing import Annotated

import typer

from hedgerow.cli._outputs import check_own
from hedgerow.errors import UsageError


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("exits-text")(exits_text)


def exits_text(
    train: Annotated[Path | None, typer.Argument(help="A .tab table to train on (default: 20 newsgroups).")] = None,
    unseen: Annotated[
        Path | None, typer.Argument(help="A .tab table that calibrates the gates and judges them, by halves.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the task (default: the newsgroups' own).")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Class names, one a line (default: as found, sorted).")] = None,
    disagreement: Annotated[
        float, typer.Option(help="At most this share may be answered otherwise than by all layers.")
    ] = 0.05,
    tokens: Annotated[int, typer.Option(help="A text is cut, or padded, to so many.")] = 64,
    epochs: Annotated[float, typer.Option(min=0.01, max=100.0, help="Rounds through the training texts.")] = 1.0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="To train with.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance in it.")] = 0,
) -> None:
    """Train MiniLM and an exit after each layer; stopped at any time it goes on, made once it is not made again."""
    from hedgerow.adaptation.keeping import adapted, needs_pytorch
    from hedgerow.adaptation.recipes import task_text
    from hedgerow.adaptation.text import sources
    from hedgerow.adaptation.text.recipe import NAME, Options, make
    from hedgerow.cli._adapt_all import progress
    from hedgerow.models.home import make_directory, write_whole

    if (train is None) != (unseen is None):
        raise UsageError("give two tables: one to train on, and one of unseen texts that calibrates and judges")
    if train is not None and output is None:
        raise UsageError("give a folder for the task with -o: tables of your own make a task of your own")
    if train is None and labels is not None:
        raise UsageError("the newsgroups' classes are known; give --labels with tables of your own")
    say = progress()
    folder = output or adapted("newsgroups")
    own = None if train is None or unseen is None else sources.read_tables(train, unseen, labels)
    check_own(folder, f"{NAME}.adapt.json")
    needs_pytorch()
    found = own or sources.fetch_newsgroups(say)
    options = Options(tokens=tokens, epochs=epochs, disagreement=disagreement, seed=seed, threads=threads)
    entries = make(make_directory(folder), *found, sources.fetch_encoder(say), options, say)
    head = {
        "name": "newsgroups" if train is None else "texts",
        "kind": "classification",
        "reference": NAME,
        "labels": "labels.txt",
    }
    path, text = folder / "task.toml", task_text(head, entries).encode()
    if not path.is_file() or path.read_bytes() != text:
        write_whole(path, text)
    print(path)
