"""The kernel itself says whether a thread's slack was tightened, and whose."""

import ctypes
import sys
import threading

import pytest

from hedgerow.device import timer
from hedgerow.profiling import interrupts, timer_slack

_PR_GET_TIMERSLACK = 30


@pytest.mark.skipif(sys.platform != "linux", reason="timer slack is Linux's")
def test_the_calling_thread_s_slack_is_one_nanosecond_and_no_other_s_changes() -> None:
    prctl = ctypes.CDLL(None).prctl
    found: list[tuple[int, bool, int]] = []

    def ask() -> None:
        before = prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)
        found.append((before, timer_slack.tighten_timer_slack(), prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)))

    here = prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [(here, True, 1)]
    assert prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0) == here


def test_without_such_a_call_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_there(name: object) -> object:
        raise OSError(f"no library {name}")

    monkeypatch.setattr(ctypes, "CDLL", none_there)
    assert not timer_slack.tighten_timer_slack()


def test_the_timer_and_its_measurement_use_the_same() -> None:
    assert vars(timer)["tighten_timer_slack"] is vars(interrupts)["tighten_timer_slack"]
