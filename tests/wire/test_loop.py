"""A loop in a thread: work is done there, refused after the end, and nothing is left."""

import asyncio
import threading

import pytest

from hedgerow.errors import LinkError
from hedgerow.wire.loop import LoopThread
from tests.wire.serving import PATIENCE_S


async def nothing() -> None:
    return


def test_work_is_done_on_its_thread_until_it_is_closed() -> None:
    thread = LoopThread("test-loop")
    names: list[str] = []
    done = threading.Event()

    def note() -> None:
        names.append(threading.current_thread().name)
        done.set()

    assert thread.post(note)
    assert done.wait(PATIENCE_S)
    assert names == ["test-loop"]

    async def seven() -> int:
        return 7

    assert thread.wait_for(seven, PATIENCE_S) == 7
    thread.close(nothing, PATIENCE_S)
    thread.close(nothing, PATIENCE_S)
    assert not thread.post(names.clear)
    assert names == ["test-loop"]
    with pytest.raises(LinkError, match="closed"):
        thread.wait_for(seven, PATIENCE_S)
    assert "test-loop" not in {each.name for each in threading.enumerate()}
    assert thread.loop.is_closed()


def test_waiting_ends_in_time() -> None:
    thread = LoopThread("test-loop")

    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(LinkError, match=r"no answer within 0\.01 s"):
        thread.wait_for(forever, 0.01)
    thread.close(nothing, PATIENCE_S)


def test_an_end_that_hangs_is_given_up() -> None:
    thread = LoopThread("test-loop")

    async def forever() -> None:
        await asyncio.Event().wait()

    thread.close(forever, 0.05)
    assert thread.loop.is_closed()
