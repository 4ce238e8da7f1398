"""Tells the session's owner, in one line each, how the server and the certificate stand: reached, lost, wrong; withdrawn,
another mode. On a thread of its own.

A line is said when the state changes, a problem once until the server has answered again: silence about the network would
leave an owner believing that the cloud was weighed and lost.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from hedgerow.core import records as r


class Herald:
    """Listens to the session's steps; `say` is called on the herald's own thread and may be slow."""

    def __init__(self, address: str, say: Callable[[str], None], *, stands_in: bool, governed: bool = False) -> None:
        self._address, self._say = address, say
        self._otherwise = "the device answers alone" if stands_in else "nothing answers in its place"
        if governed:
            self._otherwise = "the device goes on as the certificate's mode allows"
        self._reached: bool | None = None
        self._told: set[str] = set()
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="hedgerow-herald", daemon=True)
        self._thread.start()

    def __call__(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        """One step; only what its records and its event say of link and certificate matters."""
        for record in outcome.records:
            match record:
                case r.BreakerMoved():
                    self._moved(record)
                case r.RemoteDistrusted():
                    self._distrusted(record)
                case r.CertificateWithdrawn():
                    self._queue.put(f"the certificate is withdrawn in mode '{record.mode}': {record.because}")
                case r.ModeChanged():
                    self._queue.put(_mode_line(record))
                case _:
                    pass
        if isinstance(event, r.TrustRestored):
            self._queue.put(f"the server at {self._address} is trusted again")
        if isinstance(event, r.ProbeLost) and self._reached is None:
            self._reached = False
            if not self._told:  # a wrong server has been told already
                self._queue.put(f"the server at {self._address} is not reached yet; {self._otherwise} until it is")

    def _distrusted(self, record: r.RemoteDistrusted) -> None:
        self._queue.put(
            f"the server at {self._address} gives answers that differ from the device's own more often than was measured: "
            f"{record.disagreed} of {record.audited} audited, {record.expected:.1f} expected at most; "
            "remote answers are off until trust_again() [at fault: peer]"
        )

    def problem(self, text: str) -> None:
        """The server answers, but cannot be used."""
        if text not in self._told:
            self._told.add(text)
            self._queue.put(f"{text} [at fault: peer]; {self._otherwise}")

    def close(self, timeout_s: float = 2.0) -> None:
        """Say what is left and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _moved(self, record: r.BreakerMoved) -> None:
        if record.after == "closed":
            self._queue.put(f"the server at {self._address} answers{' again' if self._reached is False else ''}")
            self._reached = True
            self._told.clear()
        elif record.before == "closed":
            self._reached = False
            self._queue.put(f"the server at {self._address} no longer answers; {self._otherwise} until it does")

    def _serve(self) -> None:
        while (text := self._queue.get()) is not None:
            self._say(text)


def _mode_line(record: r.ModeChanged) -> str:
    """One line about a change of modes; beyond the last mode and back from there its name stays the same."""
    if record.before != record.after:
        return f"mode '{record.after}' instead of '{record.before}': {record.because}"
    return (
        f"mode '{record.after}' is {'certified again' if record.certified else 'no longer certified'}: {record.because}"
    )
