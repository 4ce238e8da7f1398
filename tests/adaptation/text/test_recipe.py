"""The recipe: what cannot work is refused before anything is trained; with PyTorch it trains, goes on and repeats itself."""

import importlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.text import recipe
from hedgerow.adaptation.text.recipe import Options, entries, make
from hedgerow.adaptation.text.running import Exiting
from hedgerow.adaptation.text.sources import Texts
from hedgerow.adaptation.text.words import WordPiece, read_vocabulary
from hedgerow.errors import HostError, UsageError
from tests.adaptation.text import small

WITHOUT_TORCH = importlib.util.find_spec("torch") is None
needs_torch = pytest.mark.skipif(WITHOUT_TORCH, reason="PyTorch is not installed (extra `adapt`)")
QUICK = Options(tokens=16, epochs=1, disagreement=0.1, threads=1)
TRAIN, UNSEEN = small.texts(2100), small.texts(900, 1)


def silent(_text: str) -> None:
    pass


@pytest.mark.parametrize(
    ("train", "unseen", "options", "said"),
    [
        (small.texts(1000), UNSEEN, QUICK, "2000 would be enough"),
        (small.texts(30), UNSEEN, QUICK, "20 of each class would be enough"),
        (TRAIN, small.texts(60), replace(QUICK, disagreement=0.02), "give [0-9]+"),
        (TRAIN, UNSEEN, replace(QUICK, tokens=4), "8 to 512 tokens"),
        (TRAIN, UNSEEN, replace(QUICK, disagreement=0.0), "between 0 and 1"),
    ],
)
def test_what_cannot_work_is_refused_first(
    tmp_path: Path, train: Texts, unseen: Texts, options: Options, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make(tmp_path, train, unseen, small.encoder(), options, silent)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not WITHOUT_TORCH, reason="PyTorch is installed")
def test_without_pytorch_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"pip install 'hedgerow\[adapt\]'"):
        make(tmp_path, TRAIN, UNSEEN, small.encoder(), QUICK, silent)


def test_an_exit_at_which_nothing_may_stop_has_no_gate() -> None:
    first, second, third = entries({"figures": {"gates": [None, 0.75], "temperatures": [1.0, 1.5, 2.0]}})
    assert first["joints"] == ["attention_mask+layer1.output", "attention_mask+layer2.output"]
    assert first["temperature"] == 2.0
    assert "gate" not in second
    assert (third["gate"], third["trunk"], third["after"]) == (0.75, "minilm", first["joints"][1])


@needs_torch
def test_it_is_made_once_and_never_overwritten(tmp_path: Path) -> None:
    said: list[str] = []
    tables = make(tmp_path, TRAIN, UNSEEN, small.encoder(), QUICK, said.append)
    assert [table["name"] for table in tables] == ["minilm", "minilm-exit1", "minilm-exit2"]
    figures = json.loads((tmp_path / "minilm.adapt.json").read_text())["figures"]
    assert figures["judged"]["disagreement"] <= 0.1
    assert figures["accuracy_full"] > 0.8
    assert len(list((tmp_path / "samples").iterdir())) == recipe.SAMPLES_KEPT
    before = {path: path.read_bytes() for path in tmp_path.glob("*.onnx")}
    assert make(tmp_path, TRAIN, UNSEEN, small.encoder(), QUICK, silent) == tables
    with pytest.raises(UsageError, match="not overwritten"):
        make(tmp_path, TRAIN, UNSEEN, small.encoder(), replace(QUICK, seed=1), silent)
    assert before == {path: path.read_bytes() for path in tmp_path.glob("*.onnx")}
    assert not list(tmp_path.glob(".*partial"))


@needs_torch
def test_stopped_in_the_middle_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    def stop(text: str) -> None:
        if text.startswith("step 60"):
            raise KeyboardInterrupt

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    options = replace(QUICK, epochs=1.2)
    make(straight, TRAIN, UNSEEN, small.encoder(), options, silent)
    training = importlib.import_module("hedgerow.adaptation.text.training_text")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHECKPOINT_STEPS", 40)
        with pytest.raises(KeyboardInterrupt):
            make(broken, TRAIN, UNSEEN, small.encoder(), options, stop)
    said: list[str] = []
    make(broken, TRAIN, UNSEEN, small.encoder(), options, said.append)
    assert "goes on from step 40 of 70" in said[0]
    for path in straight.glob("*.onnx"):
        assert path.read_bytes() == (broken / path.name).read_bytes()


@needs_torch
def test_the_files_compute_what_was_trained() -> None:
    training = importlib.import_module("hedgerow.adaptation.text.training_text")
    words = WordPiece(read_vocabulary(small.vocabulary()))
    tensors = words.tensors(small.texts(20).texts, tokens=16)
    random = np.random.default_rng(0)
    heads = tuple(
        (random.standard_normal((2, small.WIDTH)).astype(np.float32), np.zeros(2, np.float32))
        for _ in range(small.LAYERS)
    )
    means = training.features(small.state(), tensors, threads=1, say=silent)
    files = list(recipe.onnx_files(small.state(), heads, 16, "a test").values())
    with Exiting(files[0], files[1:]) as chain:
        scores = chain.scores(tensors)
    for mean, (weight, bias), found in zip(means, heads, scores, strict=True):
        np.testing.assert_allclose(found, mean @ weight.T + bias, atol=1e-4)
