"""One asyncio loop in one daemon thread, for callers that are threads themselves.

Rules: nothing blocks on the loop's thread; `close` leaves no thread behind; work that is handed over after `close` is
refused with False instead of being lost silently.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hedgerow.errors import LinkError

T = TypeVar("T")


class LoopThread:
    """Runs a loop until `close`."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def post(self, call: Callable[..., object], *arguments: object) -> bool:
        """Call on the loop's thread soon; False after `close`."""
        with self._lock:
            if self._closed:
                return False
            self.loop.call_soon_threadsafe(call, *arguments)
            return True

    def wait_for(self, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """Run `work` on the loop and wait for it. LinkError when it takes longer than `timeout_s` or after `close`."""

        async def there() -> T:  # what `work` reads is read on the loop, after everything posted before
            return await work()

        with self._lock:
            if self._closed:
                raise LinkError("the client is closed; open a new one")
            future = asyncio.run_coroutine_threadsafe(there(), self.loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise LinkError(f"no answer within {timeout_s:g} s") from None
        except concurrent.futures.CancelledError:
            raise LinkError("the client was closed while it waited") from None

    def close(self, last: Callable[[], Coroutine[Any, Any, None]], timeout_s: float) -> None:
        """Run `last` on the loop, then end the loop and its thread. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            future = asyncio.run_coroutine_threadsafe(last(), self.loop)
        try:
            future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            if threading.current_thread() is not self._thread:
                self._thread.join(timeout_s)
