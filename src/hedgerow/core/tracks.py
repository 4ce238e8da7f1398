"""What was seen earlier of each track (one thing that a stream follows; 0 for the stream as a whole), in bounded memory.

A track keeps one pooled belief, cut to its likeliest labels, and the moment of the newest sample in it. It enters the next
decision as a view of its own, so that evidence fades by the same rule as any other view's age. A declared change (`begin`)
forgets all before it. When there is no room, the track that was longest not touched is forgotten.
"""

from hedgerow.core.arbitration import EARLIER
from hedgerow.core.views import ModelView, Seen

Key = tuple[str, int]
Kept = tuple[int, int, Seen | None]
"""The last declared change, the newest capture, and what is believed."""


class Tracks:
    """Beliefs by (stream, track). `tracks_max` of them, of `labels_max` labels each."""

    def __init__(self, tracks_max: int, labels_max: int) -> None:
        self._tracks_max, self._labels_max = tracks_max, labels_max
        self._kept: dict[Key, Kept] = {}  # in the order of their touching

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, key: Key, captured_ns: int) -> None:
        """Forget what came before the sample captured then: another thing is seen now."""
        self._touch(key, (captured_ns, captured_ns, None))

    def earlier(self, key: Key, captured_ns: int) -> ModelView | None:
        """What is remembered, as a view of the sample captured then; None where that is nothing."""
        _, at_ns, seen = self._kept.get(key, (0, 0, None))
        return None if seen is None else ModelView(EARLIER, "", seen, max(0, captured_ns - at_ns))

    def newest_ns(self, key: Key) -> int | None:
        """When the newest sample in it was captured; None for a track that is not known."""
        return self._kept[key][1] if key in self._kept else None

    def remember(self, key: Key, captured_ns: int, pooled: Seen) -> None:
        """Keep this belief, which includes what was remembered; nothing of a sample from before the last change."""
        since_ns, at_ns, _ = self._kept.get(key, (0, 0, None))
        if captured_ns < since_ns:
            return
        kept = Seen("", pooled.labels[: self._labels_max], pooled.probabilities[: self._labels_max])
        self._touch(key, (since_ns, max(at_ns, captured_ns), kept))

    def _touch(self, key: Key, kept: Kept) -> None:
        self._kept.pop(key, None)
        if len(self._kept) >= self._tracks_max:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = kept
