"""Multiply-adds against counts done by hand."""

import pytest

from hedgerow.models.work import node_work
from tests.models.graphs import node

SHAPES = {
    "image": (1, 8, 10, 10),
    "kernel": (16, 8, 3, 3),
    "convolved": (1, 16, 8, 8),
    "deep": (8, 1, 3, 3),
    "deepened": (1, 8, 8, 8),
    "up": (8, 4, 2, 2),
    "enlarged": (1, 4, 20, 20),
    "rows": (5, 7),
    "columns": (7, 3),
    "product": (5, 3),
    "turned": (7, 5),
    "steps": (6, 2, 4),
    "gates": (1, 12, 4),
    "again": (1, 12, 3),
    "states": (6, 1, 2, 3),
}


@pytest.mark.parametrize(
    ("operator", "reads", "makes", "work"),
    [
        ("Conv", "image kernel", "convolved", 16 * 8 * 8 * 8 * 3 * 3),
        ("Conv", "image deep", "deepened", 8 * 8 * 8 * 3 * 3),
        ("ConvTranspose", "image up", "enlarged", 8 * 10 * 10 * 4 * 2 * 2),
        ("QLinearConv", "image a b kernel", "convolved", 16 * 8 * 8 * 8 * 3 * 3),
        ("MatMul", "rows columns", "product", 5 * 3 * 7),
        ("LSTM", "steps gates again", "states", 6 * 2 * (12 * 4 + 12 * 3)),
        ("Relu", "image", "rows", 35),
        ("Split", "image", "rows columns", 35),
        ("Conv", "unknown unknown", "convolved", 16 * 8 * 8),
        ("MatMul", "unknown columns", "product", 15),
        ("LSTM", "steps", "states", 36),
        ("Relu", "unknown", "unknown", 1),
    ],
)
def test_known_counts(operator: str, reads: str, makes: str, work: int) -> None:
    assert node_work(node(operator, reads, makes), SHAPES.get) == work


def test_a_transposed_product_contracts_the_other_axis() -> None:
    assert node_work(node("Gemm", "turned columns", "product", transA=1), SHAPES.get) == 5 * 3 * 7
