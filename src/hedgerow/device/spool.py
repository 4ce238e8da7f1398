"""Samples that are kept to learn from: a folder that a trainer opens, within a quota, each with why it was kept.

    DIR/images/000001.png     the raw frame, whole and as it was captured
    DIR/reasons.csv           a row for each: file, captured (UTC), reason, p_value, label, confidence, model, by, bytes

Rules: a picture is whole or absent, and its row is written after it; a row is whole or the last one is cut off when the folder is
opened again; neither quota nor a full disk ever costs what is there already. Nothing is deleted here. `by` says whose label it is:
nobody's that counts as true.
"""

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import make_directory, write_whole
from hedgerow.models.tensors import Array

TABLE = "reasons.csv"
COLUMNS = ("file", "captured", "reason", "p_value", "label", "confidence", "model", "by", "bytes")
QUOTA_BYTES = 500 * 2**20
SAMPLES_MAX = 100_000


@dataclass(slots=True)
class Counts:
    """What is in the folder, and what was not kept because it would not have fitted."""

    samples: int = 0
    bytes: int = 0
    refused: int = 0


class Spool:
    """One folder; one writer at a time. HostError where it cannot be written, UsageError for a folder of something else."""

    def __init__(self, folder: Path, *, quota_bytes: int = QUOTA_BYTES, samples_max: int = SAMPLES_MAX) -> None:
        if quota_bytes < 1 or samples_max < 1:
            raise UsageError("a spool's quota is at least one byte and one sample")
        self.folder, self._quota_bytes, self._samples_max = folder, quota_bytes, samples_max
        self._images, self._table = make_directory(folder / "images"), folder / TABLE
        rows = self._rows()
        self.counts = Counts(len(rows), sum(int(row["bytes"]) for row in rows))
        numbers = [int(path.stem) for path in self._images.glob("*.png") if path.stem.isdecimal()]
        self._next = max(numbers, default=0) + 1  # a picture whose row was lost keeps its name

    def _rows(self) -> list[dict[str, str]]:
        """The rows there are; a last one that was cut off is taken away, a table of other columns refused."""
        if not self._table.exists():
            write_whole(self._table, (",".join(COLUMNS) + "\n").encode())
            return []
        data = self._table.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            write_whole(self._table, whole)
        try:
            rows = list(csv.DictReader(io.StringIO(whole.decode("utf-8"))))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{self._table} is no table of a spool ({error}); name another folder") from None
        header = whole.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
        if header != ",".join(COLUMNS) or any(not (row["bytes"] or "").isdecimal() for row in rows):
            raise UsageError(f"{self._table} is no table of a spool; name another folder")
        return rows

    def keep(self, frame: Array, facts: Mapping[str, str], captured: datetime | None = None) -> Path | None:
        """Write one frame and its row; None where the quota is reached. HostError on a full disk: what is there stays."""
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "PNG", compress_level=3)
        data = buffer.getvalue()
        name = f"{self._next:06d}.png"
        told = {
            "file": f"images/{name}",
            "captured": (captured or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        }
        row = {**dict.fromkeys(COLUMNS, ""), **told, **facts, "bytes": str(len(data))}
        full = self.counts.bytes + len(data) > self._quota_bytes or self.counts.samples >= self._samples_max
        if full:
            self.counts.refused += 1
            return None
        path = self._images / name
        write_whole(path, data)
        try:
            self._append(row)
        except HostError:
            path.unlink(missing_ok=True)  # a picture without a reason is of no use, and takes room that is short
            raise
        self._next += 1
        self.counts.samples += 1
        self.counts.bytes += len(data)
        return path

    def _append(self, row: Mapping[str, str]) -> None:
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(row)
        size = self._table.stat().st_size
        try:
            with self._table.open("ab") as file:
                file.write(text.getvalue().encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with self._table.open("r+b") as file:
                file.truncate(size)
            raise HostError(f"cannot write {self._table}: {error.strerror or error}") from error
