"""Compares remote answers with the device's own, on a thread of its own: large outputs take milliseconds, and no lane, link
or timer may wait for them. The core asks (`Compare`) and is told (`Compared`); the thread begins with the first question and
outlives whatever a comparison does: every question gets its `Compared`.
"""

import logging
import threading
from queue import SimpleQueue

from hedgerow.core import records as r
from hedgerow.device.lane import Post, Workpiece
from hedgerow.errors import HedgerowError
from hedgerow.models.task import Task

_LOG = logging.getLogger("hedgerow")


class Auditor:
    """One thread for one session; `post` takes what was found."""

    def __init__(self, task: Task, post: Post) -> None:
        self._task, self._post = task, post
        self._queue: SimpleQueue[tuple[r.Compare, Workpiece] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def compare(self, action: r.Compare, work: Workpiece) -> None:
        """Compare them soon. Called under the core, so never by two threads at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="hedgerow-audit", daemon=True)
            self._thread.start()
        self._queue.put((action, work))

    def close(self, timeout_s: float = 2.0) -> None:
        """End the thread; what is left goes untold."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout_s)

    def _serve(self) -> None:
        while (asked := self._queue.get()) is not None:
            action, work = asked
            self._post(r.Compared(action.request, action.model, self._agrees(action.model, work)))

    def _agrees(self, model: str, work: Workpiece) -> bool | None:
        """Whether both say the same; None where an answer cannot be read, or comparing them failed."""
        own, remote = work.outputs.get(model), work.remote
        if own is None or remote is None:
            return None
        try:
            return self._task.agrees(own, remote)
        except HedgerowError:
            return None
        except Exception:  # noqa: BLE001 - supervisor: without it no answer would be compared any more
            _LOG.exception("two answers of model %s could not be compared", model)
            return None
