"""The ONNX side of a linear code over all places (`places.py`): products with constant matrices, and gathers."""

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.bottleneck.graph import LATENT, SCALE, STEPS, Writer, decoded, joined, quantiser
from hedgerow.adaptation.bottleneck.places import Places


def assemble(head: bytes, tail: bytes, places: Places, *, scale: float, origin: str) -> bytes:
    """ONNX bytes: `head` -> code -> latent -> its inverse -> `tail`, with the head's input and the tail's output."""
    return joined(head, tail, _Both(places, scale).write, origin=origin)


class _Both:
    """Writes encoder and decoder."""

    def __init__(self, places: Places, scale: float) -> None:
        self._places, self._scale = places, scale

    def write(self, writer: Writer, source: str, target: str) -> None:
        self._encoder(writer, source)
        quantiser(writer, STEPS, self._scale)
        self._decoder(writer, decoded(target))

    def _encoder(self, writer: Writer, source: str) -> None:
        code = self._places
        size, height, width = code.mean.shape
        if code.patch > 1:
            source = writer.node("SpaceToDepth", [source], "encoder.folded", blocksize=code.patch)
        middle = writer.array("encoder.mean", code.mean[None])
        centred = writer.node("Sub", [source, middle], "encoder.centred")
        down = writer.node("MatMul", [writer.array("encoder.down", code.down), centred], "encoder.rows")
        across = writer.node("MatMul", [down, writer.array("encoder.across", code.across.T)], "encoder.patterns")
        flat = writer.node(
            "Reshape", [across, writer.array("encoder.flat", _shape(0, size, height * width))], "encoder.all"
        )
        rows = []
        for number, band in enumerate(code.bands):
            name = f"encoder.band{number}"
            chosen = writer.array(f"{name}.patterns", code.order[band.begin : band.end])
            taken = writer.node("Gather", [flat, chosen], f"{name}.taken", axis=2)
            turned = writer.node("MatMul", [writer.array(f"{name}.axes", band.forward), taken], name)
            rows.append(writer.node("Reshape", [turned, writer.array("encoder.row", _shape(0, -1))], f"{name}.row"))
        row = writer.node("Concat", rows, "encoder.row.all", axis=1)
        kept = writer.node("Gather", [row, writer.array("encoder.elements", code.elements)], "encoder.kept", axis=1)
        if code.gains is not None:
            kept = writer.node("Mul", [kept, writer.array("encoder.gains", code.gains)], "encoder.restrained")
        writer.node("Reshape", [kept, writer.array("encoder.shape", _shape(0, *code.shape))], STEPS)

    def _decoder(self, writer: Writer, target: str) -> None:
        code = self._places
        size, height, width = code.mean.shape
        values = writer.values(LATENT, SCALE)
        row = writer.node("Reshape", [values, writer.array("decoder.row", _shape(0, -1))], "decoder.row.all")
        if code.gains is not None:
            row = writer.node("Div", [row, writer.array("decoder.gains", code.gains)], "decoder.unrestrained")
        row = self._padded(writer, row)
        found, begin = [], 0
        where = self._where()
        for number, band in enumerate(code.bands):
            name = f"decoder.band{number}"
            kept, wide = len(band.forward), band.end - band.begin
            places = where[begin : begin + kept * wide].reshape(kept, wide)
            begin += kept * wide
            taken = writer.node("Gather", [row, writer.array(f"{name}.elements", places)], f"{name}.taken", axis=1)
            found.append(writer.node("MatMul", [writer.array(f"{name}.axes", band.backward), taken], name))
        flat = writer.node("Concat", found, "decoder.all", axis=2)
        back = writer.array("decoder.patterns", np.argsort(code.order))
        ordered = writer.node("Gather", [flat, back], "decoder.ordered", axis=2)
        shape = writer.array("decoder.shape", _shape(0, size, height, width))
        grid = writer.node("Reshape", [ordered, shape], "decoder.grid")
        rows = writer.node("MatMul", [writer.array("decoder.up", code.up), grid], "decoder.rows")
        columns = writer.node("MatMul", [rows, writer.array("decoder.back", code.back.T)], "decoder.columns")
        name = "decoder.folded" if code.patch > 1 else target
        whole = writer.node("Add", [columns, writer.array("decoder.mean", code.mean[None])], name)
        if code.patch > 1:
            writer.node("DepthToSpace", [whole], target, blocksize=code.patch)

    def _where(self) -> NDArray[np.int64]:
        """For each element of the bands' rows its place in the latent; the one after the last for those left out."""
        code = self._places
        total = sum(len(band.forward) * (band.end - band.begin) for band in code.bands)
        where = np.full(total, len(code.elements), np.int64)
        where[code.elements] = np.arange(len(code.elements))
        return where

    def _padded(self, writer: Writer, row: str) -> str:
        """With one 0 behind, for the elements left out."""
        ends = writer.array("decoder.ends", _shape(0, 0, 0, 1))
        return writer.node("Pad", [row, ends], "decoder.padded")


def _shape(*sizes: int) -> NDArray[np.int64]:
    return np.array(sizes, np.int64)
