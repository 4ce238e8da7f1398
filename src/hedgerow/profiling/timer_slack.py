"""Exact waits: the kernel may round a thread's waits up by its timer slack, usually 50 us, so that wake-ups fall together.

The reserve's timer and the measurement of how late it is ask for the same, so that what is measured is what is used.
"""

import ctypes

_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_SLACK_NS = 1  # the least; 0 would mean the usual


def tighten_timer_slack() -> bool:
    """Ask the kernel for exact waits on the calling thread; False where it is not to be had (other systems than Linux)."""
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0) == 0)
    except (OSError, AttributeError, TypeError):
        return False
