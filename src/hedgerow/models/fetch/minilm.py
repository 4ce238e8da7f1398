"""Writes MiniLM (Wang et al. 2020, arXiv:2002.10957), a small BERT encoder, as ONNX with a classifier on top.

The state dict has the names of Hugging Face's `BertModel`, and "classifier.weight" and "classifier.bias" beside them. Texts are
`input_ids` and `attention_mask`, int64 (batch, tokens), padded to a fixed number of tokens so that every text takes the same
time; the classifier reads the mean of the last layer over the tokens that are not padding, as sentence-transformers does.

Rules: after layer i exactly `attention_mask` and `layer{i}.output` are alive, so each is a joint (`joint`); the scale of the
attention is folded into the queries, and queries, keys and values are one product; equal weights give equal bytes; a weight that
is missing, left over or of a wrong shape is a PeerError.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hedgerow.errors import PeerError
from hedgerow.models.fetch.network import OUTPUT_NAME, checked_bytes
from hedgerow.models.tensors import Array

IDS, MASK = "input_ids", "attention_mask"
EPSILON = 1e-12
HEAD_WIDTH = 32  # of one attention head
MASKED = -1e4  # added to the score of a token that is padding
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")

Floats = NDArray[np.float32]


def layer_output(layer: int) -> str:
    """The tensor after layer 1, 2, ..."""
    return f"layer{layer}.output"


def joint(layer: int) -> str:
    """The name of the cut after layer 1, 2, ..."""
    return f"{MASK}+{layer_output(layer)}"


def build(state: dict[str, Array], *, name: str, tokens: int, source: str) -> bytes:
    """ONNX bytes: `input_ids`, `attention_mask` int64 (batch, tokens) -> "logits" float32 (batch, classes)."""
    writer = EncoderWriter({key: array for key, array in state.items() if key not in UNUSED})
    tensor = writer.embeddings(tokens)
    layer = 0
    while writer.has_layer(layer):
        tensor = writer.layer(tensor, layer)
        layer += 1
    pooled = writer.mean(tensor)
    writer.linear(pooled, OUTPUT_NAME, "classifier")
    inputs = [helper.make_tensor_value_info(each, TensorProto.INT64, ["batch", tokens]) for each in (IDS, MASK)]
    return writer.finish(name, inputs, source)


def build_exit(state: dict[str, Array], *, layer: int, tokens: int, name: str, source: str) -> bytes:
    """The exit after a layer: what is alive there -> "logits"; `state` holds hidden.* (optional) and classifier.*.

    The mean over the tokens, a hidden layer with ReLU where there is one, and a linear classifier.
    """
    wide = state["hidden.weight" if "hidden.weight" in state else "classifier.weight"].shape[1]
    writer = EncoderWriter(state)
    tensor = writer.mean(layer_output(layer))
    if "hidden.weight" in state:
        writer.linear(tensor, "hidden.linear", "hidden")
        writer.node("Relu", ["hidden.linear"], "hidden.output")
        tensor = "hidden.output"
    writer.linear(tensor, OUTPUT_NAME, "classifier")
    inputs = [
        helper.make_tensor_value_info(MASK, TensorProto.INT64, ["batch", tokens]),
        helper.make_tensor_value_info(layer_output(layer), TensorProto.FLOAT, ["batch", tokens, wide]),
    ]
    return writer.finish(name, inputs, source)


class EncoderWriter:
    """Collects nodes and weights; methods take and return tensor names."""

    def __init__(self, state: dict[str, Array]) -> None:
        self._left = dict(state)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, Array] = {}

    def has_layer(self, layer: int) -> bool:
        """Whether the weights of this layer, from 0, are there."""
        return f"encoder.layer.{layer}.output.dense.weight" in self._left

    def embeddings(self, tokens: int) -> str:
        """Words plus places, normalised."""
        words = self._take("embeddings.word_embeddings.weight", 2)
        places = self._take("embeddings.position_embeddings.weight", 2)
        if len(places) < tokens:
            raise PeerError(f"the weights know {len(places)} places, fewer than the {tokens} tokens asked for")
        kinds = self._take("embeddings.token_type_embeddings.weight", 2)
        self._constants |= {"embeddings.words": words, "embeddings.places": places[:tokens] + kinds[0]}
        self.node("Gather", ["embeddings.words", IDS], "embeddings.word")
        self.node("Add", ["embeddings.word", "embeddings.places"], "embeddings.sum")
        return self._norm("embeddings.sum", "embeddings.output", "embeddings.LayerNorm")

    def layer(self, source: str, layer: int) -> str:
        """One layer of the encoder, from 0: attention, then two products with a Gelu between them, each with its residual."""
        keys, out = f"encoder.layer.{layer}", f"layer{layer + 1}"
        attended = self._attention(source, f"{keys}.attention", out)
        self._matrix(attended, f"{out}.wide", f"{keys}.intermediate.dense")
        self._gelu(f"{out}.wide", f"{out}.active", out)
        self._matrix(f"{out}.active", f"{out}.narrow", f"{keys}.output.dense")
        self.node("Add", [f"{out}.narrow", attended], f"{out}.sum")
        return self._norm(f"{out}.sum", layer_output(layer + 1), f"{keys}.output.LayerNorm")

    def mean(self, source: str) -> str:
        """The mean over the tokens that are not padding."""
        self._constants |= {
            "mean.axis": np.array([1], np.int64),
            "mean.last": np.array([2], np.int64),
            "mean.least": np.array(1.0, np.float32),
        }
        self.node("Cast", [MASK], "mean.mask", to=TensorProto.FLOAT)
        self.node("Unsqueeze", ["mean.mask", "mean.last"], "mean.column")
        self.node("Mul", [source, "mean.column"], "mean.kept")
        self.node("ReduceSum", ["mean.kept", "mean.axis"], "mean.sum", keepdims=0)
        self.node("ReduceSum", ["mean.mask", "mean.axis"], "mean.count", keepdims=1)
        self.node("Max", ["mean.count", "mean.least"], "mean.divisor")
        self.node("Div", ["mean.sum", "mean.divisor"], "pooled")
        return "pooled"

    def linear(self, source: str, result: str, keys: str) -> None:
        """A linear layer on (batch, features)."""
        self._constants |= {
            f"{keys}.weight": self._take(f"{keys}.weight", 2),
            f"{keys}.bias": self._take(f"{keys}.bias", 1),
        }
        self.node("Gemm", [source, f"{keys}.weight", f"{keys}.bias"], result, transB=1)

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """One operator with one output."""
        self._nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes))

    def finish(self, name: str, inputs: list[onnx.ValueInfoProto], source: str) -> bytes:
        """The checked model's bytes; `source` (where the weights came from, their licence) goes into its description."""
        if self._left:
            raise PeerError(f"the weights of {name} hold {len(self._left)} unknown tensors, such as {min(self._left)}")
        classes = self._constants["classifier.bias"].shape[0]
        output = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", classes])
        weights = [numpy_helper.from_array(array, tensor) for tensor, array in self._constants.items()]
        return checked_bytes(helper.make_graph(self._nodes, name, inputs, [output], weights), source)

    def _attention(self, source: str, keys: str, out: str) -> str:
        """Every token looks at those that are not padding; the residual and its normalisation included."""
        parts = [
            (self._take(f"{keys}.self.{part}.weight", 2), self._take(f"{keys}.self.{part}.bias", 1))
            for part in ("query", "key", "value")
        ]
        width = parts[0][0].shape[0]
        scale = np.float32(1.0 / np.sqrt(HEAD_WIDTH))
        (query, query_bias), *others = parts
        parts = [(query * scale, query_bias * scale), *others]
        self._constants |= {
            f"{out}.qkv.weight": np.ascontiguousarray(np.concatenate([weight for weight, _ in parts]).T),
            f"{out}.qkv.bias": np.concatenate([bias for _, bias in parts]),
            f"{out}.heads": np.array([0, 0, width // HEAD_WIDTH, HEAD_WIDTH], np.int64),
            f"{out}.joined": np.array([0, 0, width], np.int64),
            f"{out}.widths": np.array([width] * 3, np.int64),
        }
        self.node("MatMul", [source, f"{out}.qkv.weight"], f"{out}.qkv.product")
        self.node("Add", [f"{out}.qkv.product", f"{out}.qkv.bias"], f"{out}.qkv")
        names = [f"{out}.query", f"{out}.key", f"{out}.value"]
        self._nodes.append(
            helper.make_node("Split", [f"{out}.qkv", f"{out}.widths"], names, name=f"{out}/Split", axis=2)
        )
        for each, order in zip(names, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)), strict=True):
            self.node("Reshape", [each, f"{out}.heads"], f"{each}.split")
            self.node("Transpose", [f"{each}.split"], f"{each}.heads", perm=order)
        self.node("MatMul", [f"{names[0]}.heads", f"{names[1]}.heads"], f"{out}.raw_scores")
        self.node("Add", [f"{out}.raw_scores", self._bias(out)], f"{out}.scores")
        self.node("Softmax", [f"{out}.scores"], f"{out}.shares", axis=-1)
        self.node("MatMul", [f"{out}.shares", f"{names[2]}.heads"], f"{out}.mixed")
        self.node("Transpose", [f"{out}.mixed"], f"{out}.mixed.tokens", perm=(0, 2, 1, 3))
        self.node("Reshape", [f"{out}.mixed.tokens", f"{out}.joined"], f"{out}.context")
        self._matrix(f"{out}.context", f"{out}.projected", f"{keys}.output.dense")
        self.node("Add", [f"{out}.projected", source], f"{out}.attention.sum")
        return self._norm(f"{out}.attention.sum", f"{out}.attention", f"{keys}.output.LayerNorm")

    def _bias(self, out: str) -> str:
        """0 for a token, a very low score for padding, made anew in each layer so that only the mask crosses a joint."""
        self._constants |= {
            "mask.one": np.array(1.0, np.float32),
            "mask.masked": np.array(MASKED, np.float32),
            "mask.axes": np.array([1, 2], np.int64),
        }
        self.node("Cast", [MASK], f"{out}.mask", to=TensorProto.FLOAT)
        self.node("Sub", ["mask.one", f"{out}.mask"], f"{out}.padding")
        self.node("Mul", [f"{out}.padding", "mask.masked"], f"{out}.penalty")
        self.node("Unsqueeze", [f"{out}.penalty", "mask.axes"], f"{out}.bias")
        return f"{out}.bias"

    def _gelu(self, source: str, result: str, out: str) -> None:
        """x/2 (1 + erf(x / sqrt 2)), spelt as ONNX Runtime looks for it to make it one operator."""
        self._constants |= {
            "gelu.root": np.array(np.sqrt(2.0), np.float32),
            "gelu.one": np.array(1.0, np.float32),
            "gelu.half": np.array(0.5, np.float32),
        }
        self.node("Div", [source, "gelu.root"], f"{out}.gelu.scaled")
        self.node("Erf", [f"{out}.gelu.scaled"], f"{out}.gelu.erf")
        self.node("Add", [f"{out}.gelu.erf", "gelu.one"], f"{out}.gelu.shifted")
        self.node("Mul", [source, f"{out}.gelu.shifted"], f"{out}.gelu.twice")
        self.node("Mul", [f"{out}.gelu.twice", "gelu.half"], result)

    def _matrix(self, source: str, result: str, keys: str) -> None:
        """A linear layer on (batch, tokens, features)."""
        self._constants |= {
            f"{result}.weight": np.ascontiguousarray(self._take(f"{keys}.weight", 2).T),
            f"{result}.bias": self._take(f"{keys}.bias", 1),
        }
        self.node("MatMul", [source, f"{result}.weight"], f"{result}.product")
        self.node("Add", [f"{result}.product", f"{result}.bias"], result)

    def _norm(self, source: str, result: str, keys: str) -> str:
        for part in ("weight", "bias"):
            self._constants[f"{result}.norm.{part}"] = self._take(f"{keys}.{part}", 1)
        inputs = [source, f"{result}.norm.weight", f"{result}.norm.bias"]
        self.node("LayerNormalization", inputs, result, axis=-1, epsilon=EPSILON)
        return result

    def _take(self, name: str, dimensions: int) -> Floats:
        if name not in self._left:
            raise PeerError(f"the weights lack '{name}'; this is another model's file")
        array = self._left.pop(name)
        if array.ndim != dimensions or array.dtype.kind != "f":
            raise PeerError(
                f"weight '{name}' is {array.dtype.name} with {array.ndim} axes, expected {dimensions} of float"
            )
        return array.astype(np.float32)
