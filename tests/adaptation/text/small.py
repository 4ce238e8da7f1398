"""A tiny encoder of the published layout and texts that it can learn: enough to run everything in a second."""

import json
import struct

import numpy as np

from hedgerow.adaptation.text.sources import Encoder, Texts
from hedgerow.models.tensors import Array

WIDTH, WIDE, LAYERS = 64, 96, 3
WORDS = ("ball", "goal", "team", "orbit", "moon", "rocket", "the", "a", "of", "is")
CLASSES = ("space", "sport")


def vocabulary() -> bytes:
    return "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "##s"]).encode()


def state(seed: int = 0) -> dict[str, Array]:
    """Random weights under the published names."""
    random = np.random.default_rng(seed)

    def dense(name: str, outputs: int, inputs: int) -> dict[str, Array]:
        return {
            f"{name}.weight": (random.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32),
            f"{name}.bias": (random.standard_normal(outputs) * 0.1).astype(np.float32),
        }

    def norm(name: str) -> dict[str, Array]:
        weight = 1.0 + 0.1 * random.standard_normal(WIDTH)
        return {f"{name}.weight": weight.astype(np.float32), f"{name}.bias": np.zeros(WIDTH, np.float32)}

    found: dict[str, Array] = {
        f"embeddings.{name}_embeddings.weight": random.standard_normal((count, WIDTH)).astype(np.float32)
        for name, count in (("word", len(WORDS) + 5), ("position", 32), ("token_type", 2))
    }
    found |= norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        keys = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            found |= dense(f"{keys}.attention.self.{part}", WIDTH, WIDTH)
        found |= dense(f"{keys}.attention.output.dense", WIDTH, WIDTH) | norm(f"{keys}.attention.output.LayerNorm")
        found |= dense(f"{keys}.intermediate.dense", WIDE, WIDTH) | dense(f"{keys}.output.dense", WIDTH, WIDE)
        found |= norm(f"{keys}.output.LayerNorm")
    return found


def safetensors(tensors: dict[str, Array]) -> bytes:
    """The file of these float32 tensors."""
    head, body = {}, b""
    for name, array in tensors.items():
        data = array.astype("<f4").tobytes()
        head[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps({"__metadata__": {"format": "pt"}} | head).encode()
    return struct.pack("<Q", len(text)) + text + body


def encoder() -> Encoder:
    return Encoder(safetensors(state()), vocabulary(), "a test")


def texts(count: int, seed: int = 0) -> Texts:
    """Texts of ten words, most of them of their class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    said = []
    for label in labels:
        own = (WORDS[3:6], WORDS[:3])[label]
        said.append(" ".join(random.choice(own if random.random() < 0.4 else WORDS) for _ in range(10)))
    return Texts(tuple(f"{text} {number}" for number, text in enumerate(said)), labels, CLASSES)
