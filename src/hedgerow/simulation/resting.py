"""Python's collector of cycles rests while a world runs: it would look through a hundred thousand living objects again and again,
and a world makes no cycles to speak of. Whoever runs many worlds may hold it at rest over all of them: it nests."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Within it nothing is collected but what reference counts free; afterwards the collector is as it was."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
