"""What a journal is, apart from who keeps it: the live shell and the virtual world write the same lines, and the same replay
judges both. It knows the core's records and nothing of clocks, threads or sockets.
"""

from hedgerow.journal.format import FORMAT, Header, line, read_steps, recorded_versions, said, versions
from hedgerow.journal.replaying import Replayed, Step, replay, replayed_steps

__all__ = [
    "FORMAT",
    "Header",
    "Replayed",
    "Step",
    "line",
    "read_steps",
    "recorded_versions",
    "replay",
    "replayed_steps",
    "said",
    "versions",
]
