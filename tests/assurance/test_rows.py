"""Rows: what counts as late, and their way through a file."""

import pytest

from hedgerow.assurance import rows_from_text, rows_to_text
from hedgerow.core.records import MS, Status
from hedgerow.errors import UsageError
from tests.assurance.rows import row


@pytest.mark.parametrize(
    ("latency_ms", "status", "late_by_ms"),
    [
        (99.9, Status.ANSWERED, None),
        (100.0, Status.ANSWERED, None),
        (100.5, Status.ANSWERED, 0.5),  # the core thought it in time; the harness's clock decides
        (90.0, Status.LATE, None),
        (130.0, Status.LATE, 30.0),
        (100.0, Status.SAFE_VALUE, None),
        (250.0, Status.FAILED, 150.0),
    ],
)
def test_the_harness_decides_what_is_late(latency_ms: float, status: Status, late_by_ms: float | None) -> None:
    late_by_ns = row(0, latency_ms, status=status).late_by_ns
    assert late_by_ns == (None if late_by_ms is None else round(late_by_ms * MS))


@pytest.mark.parametrize("status", [Status.DROPPED, Status.FAILED, Status.SPOOLED])
def test_no_answer_is_late_however_soon_it_was_known(status: Status) -> None:
    assert row(0, 5.0, status=status).late_by_ns == 1


def test_rows_survive_a_file() -> None:
    rows = [row(0, 10.0, label_index=7), row(1, 200.0, status=Status.FAILED)]
    assert rows_from_text(rows_to_text(rows)) == rows


@pytest.mark.parametrize("text", ["{}", "[]", "3", "not json", '{"status": "odd", "source": "local"}'])
def test_what_is_no_row_is_named_by_its_line(text: str) -> None:
    with pytest.raises(UsageError, match="line 2"):
        rows_from_text(rows_to_text([row(0, 10.0)]) + text)
