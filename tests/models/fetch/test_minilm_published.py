"""The published MiniLM against Hugging Face's own model in PyTorch, layer by layer, and against its safetensors reader.

pip install torch transformers && pytest -m slow tests/models/fetch/test_minilm_published.py
"""

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest

from hedgerow.adaptation.text.sources import fetch_encoder
from hedgerow.adaptation.text.words import WordPiece, read_vocabulary
from hedgerow.errors import HostError
from hedgerow.models.chain import Chain
from hedgerow.models.fetch import minilm
from hedgerow.models.fetch.safetensors import read_safetensors

TOKENS, LAYERS, WIDTH = 32, 6, 384
TEXTS = (
    "the shuttle reached its orbit",
    "goal",
    "for sale a used car with four doors and a new engine " * 4,
    "windows",
)
MISSING = [name for name in ("torch", "transformers", "safetensors") if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"the other implementation is not installed: {', '.join(MISSING)}")
def test_every_layer_is_that_of_the_other_implementation() -> None:
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    try:
        encoder = fetch_encoder(lambda _text: None)
    except HostError as error:
        pytest.skip(f"MiniLM cannot be fetched here: {error}")
    ours = read_safetensors(encoder.weights)
    theirs = importlib.import_module("safetensors.numpy").load(encoder.weights)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    shape = transformers.BertConfig(
        hidden_size=WIDTH, intermediate_size=1536, num_attention_heads=12, num_hidden_layers=LAYERS, vocab_size=30522
    )
    other = transformers.BertModel(shape).eval()
    loaded = {name: torch.from_numpy(np.array(array)) for name, array in ours.items() if name != minilm.UNUSED[0]}
    assert not other.load_state_dict(loaded, strict=False).missing_keys
    tensors = WordPiece(read_vocabulary(encoder.vocabulary)).tensors(TEXTS, tokens=TOKENS)
    mask = tensors[minilm.MASK]
    with torch.no_grad():
        given = (torch.from_numpy(tensors[minilm.IDS]), torch.from_numpy(mask))
        states = [each.numpy() for each in other(*given, output_hidden_states=True).hidden_states]
    head = {"classifier.weight": np.eye(WIDTH, dtype=np.float32), "classifier.bias": np.zeros(WIDTH, np.float32)}
    model = minilm.build(dict(ours) | head, name="minilm", tokens=TOKENS, source="a test")
    alive: Any = tensors
    with Chain.open(model, joints=[minilm.joint(layer) for layer in range(1, LAYERS)]) as chain:
        for layer in range(1, LAYERS):
            alive = chain.run(alive, first=layer if layer > 1 else 0, last=layer).tensors
            away = np.abs(alive[minilm.layer_output(layer)] - states[layer]) * mask[..., None]
            assert away.max() < 5e-5
        pooled: Any = chain.run(alive, first=LAYERS).tensors["logits"]
    wanted = (states[-1] * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    np.testing.assert_allclose(pooled, wanted, atol=1e-5)
