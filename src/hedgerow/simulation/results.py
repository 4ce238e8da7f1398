"""Every world's results as a table in a file: CSV, or Parquet with the extra `parquet` (pyarrow).

Rules: one row a world, policy and price; columns end in their units; a file appears whole or not at all.
"""

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import write_whole
from hedgerow.simulation.cells import Unit
from hedgerow.simulation.comparing import Compared, Ran
from hedgerow.simulation.scenario import Scenario

_ENDINGS = (".csv", ".parquet")


def check(path: Path) -> None:
    """Before anything is computed: UsageError for another ending, HostError where such a file cannot be written."""
    writable(path.parent, path)
    if path.suffix not in _ENDINGS:
        raise UsageError(f"results are written as {' or '.join(_ENDINGS)}, by the file's ending; not {path.name}")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise HostError("Parquet needs pyarrow: pip install 'hedgerow[parquet]', or write a .csv") from None


def writable(folder: Path, what: Path) -> None:
    """HostError where no file can be made in `folder` (made if missing), or where `what` is a folder."""
    if what.is_dir() and what != folder:
        raise HostError(f"cannot write {what}: it is a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HostError(f"cannot write {what}: {error.strerror}") from None


def rows(found: Compared) -> list[dict[str, Any]]:
    """What ran, in the order of worlds, policies and prices."""
    return rows_of(found.scenario, found.units, found.ran)


def rows_of(scenario: Scenario, units: Sequence[Unit], every_ran: Sequence[Sequence[Ran]]) -> list[dict[str, Any]]:
    """The same of worlds and what ran in each."""
    every = []
    for unit, ran in zip(units, every_ran, strict=True):
        for each in ran:
            price = scenario.price[each.price]
            count = max(1, each.requests)
            every.append(
                {
                    "link": unit.course.name, "radio": unit.cell.radio, "group": unit.cell.group, "seed": unit.seed,
                    "deadline_ms": unit.cell.deadline_ms, "device_factor": unit.cell.device_factor,
                    "disagreement_mj": price.disagreement_mj, "reserve_mj": price.reserve_mj, "money_mj": price.money_mj,
                    "policy": each.policy, "requests": each.requests, "late": each.late,
                    "late_above_device_only": each.late_above, "cost_mj": each.cost_mj / count,
                    "energy_mj": each.energy_mj / count, "uplink_bytes": each.up_bytes / count,
                    "money": each.money / count, "agreement": each.agreeing / count, "remote": each.remote / count,
                    "reserves": each.reserves / count, "stopped": each.stopped / count, "reused": each.reused / count, "stood_in": each.stood_in / count,
                    "stood_in_agreeing": each.stood_in_agreeing / count, "error": each.error,
                }
            )  # fmt: skip
    return every


def write(path: Path, table: list[dict[str, Any]]) -> None:
    """The table into `path`, by its ending. HostError when the disk refuses."""
    check(path)
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        write_whole(path, text.getvalue().encode())
        return
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), sink)
    write_whole(path, sink.getvalue().to_pybytes())
