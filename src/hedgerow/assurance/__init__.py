"""What a run proves about deadlines: who was late, by how much, and whose fault it was.

Rules: lateness is timed by the harness, from capture to the moment the consumer has the answer, and totalled; why it was late
is a second column, never an excuse. Everything here is a pure function of rows and a journal, so a figure can be checked
again later from the files alone.
"""

from hedgerow.assurance.deadlines import DeadlineFigures, deadline_figures
from hedgerow.assurance.evidence import Evidence
from hedgerow.assurance.lateness import Cause, Late, late_above_device_only, late_requests
from hedgerow.assurance.rows import Timed, rows_from_text, rows_to_text

__all__ = [
    "Cause",
    "DeadlineFigures",
    "Evidence",
    "Late",
    "Timed",
    "deadline_figures",
    "late_above_device_only",
    "late_requests",
    "rows_from_text",
    "rows_to_text",
]
