"""The figures of text exits: of a small task made without training, and the word that says what to make first."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.keeping import Made
from hedgerow.adaptation.text import recipe
from hedgerow.adaptation.text.running import Exiting
from hedgerow.adaptation.text.sources import Texts, halves
from hedgerow.adaptation.text.words import WordPiece, read_vocabulary
from hedgerow.benchmarks.adapting import exits_text
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.errors import UsageError
from tests.adaptation.text import small

OPTIONS = recipe.Options(tokens=16, disagreement=0.3)
UNSEEN = small.texts(600, 1)


def fitted(seen: Texts) -> dict[str, bytes]:
    """Heads by least squares on what a chain of unit heads says of each layer."""
    unit = (np.eye(small.WIDTH, dtype=np.float32), np.zeros(small.WIDTH, np.float32))
    files = list(recipe.onnx_files(small.state(), (unit,) * small.LAYERS, OPTIONS.tokens, "a test").values())
    tensors = WordPiece(read_vocabulary(small.vocabulary())).tensors(seen.texts, tokens=OPTIONS.tokens)
    with Exiting(files[0], files[1:]) as chain:
        means = chain.scores(tensors)
    wanted = np.eye(2)[seen.labels] * 8.0
    heads = tuple(
        (np.linalg.lstsq(mean, wanted, rcond=None)[0].T.astype(np.float32), np.zeros(2, np.float32)) for mean in means
    )
    return recipe.onnx_files(small.state(), heads, OPTIONS.tokens, "a test")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path))
    folder = tmp_path / "adapted" / "newsgroups"
    train, design = small.texts(600), small.texts(300, 2)
    split = recipe.Split(train, design, *halves(UNSEEN))
    files = fitted(train)
    words = WordPiece(read_vocabulary(small.vocabulary()))
    heads = [data for name, data in files.items() if "exit" in name]
    with Exiting(files["minilm.onnx"], heads) as chain:
        scores = {
            part: chain.scores(words.tensors(getattr(split, part).texts, tokens=OPTIONS.tokens))
            for part in ("design", "calibrate", "judge")
        }
    figures = recipe.judge(scores, split, OPTIONS)
    kept = files | {"vocab.txt": small.vocabulary(), "task.toml": b"# a task"}
    Made(folder / "minilm.onnx", {"tokens": OPTIONS.tokens}).keep(
        {folder / name: data for name, data in kept.items()}, figures
    )
    monkeypatch.setattr(exits_text, "fetch_newsgroups", lambda _say: (train, UNSEEN))
    monkeypatch.setattr(exits_text, "TIMED_TEXTS", 10)
    return folder


def test_the_figures_are_those_of_the_frozen_gates(made: Path) -> None:
    figures = exits_text.measure(Setting(made, None, lambda _text: None))
    assert figures["disagreement_asked"] == 0.3
    assert figures["disagreement_got"] <= 0.3
    assert figures["accuracy_full"] > 0.7
    assert figures["resplits_kept"] >= 91
    assert figures["layers"] < small.LAYERS
    assert {"speedup", "accuracy_exits"} <= figures.keys()


def test_before_it_is_made_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="run `make adapt` first"):
        exits_text.measure(Setting(tmp_path, None, lambda _text: None))
