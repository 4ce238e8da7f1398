"""The same work on one core, on many, or on many machines: results in the order of the tasks, equal bit for bit.

Rules: a task is plain data and a function of a module; what it gives depends on nothing else, so where it runs cannot matter.
Many cores: joblib. Many machines: Ray, an extra (`pip install hedgerow[ray]`), asked for by an address alone.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from hedgerow.errors import HostError, LinkError

Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int = 0,
    ray: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Result]:
    """`work` of every task. `workers` 0: one a core; `ray`: the address of a Ray cluster ("local" starts one here)."""
    found: list[Result] = []
    for result in _ray(work, tasks, ray) if ray else _here(work, tasks, workers):
        found.append(result)
        progress(1)
    return found


def _here(work: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    workers = min(workers or os.cpu_count() or 1, max(1, len(tasks)))
    if workers == 1:
        yield from map(work, tasks)
        return
    import joblib

    pool = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1, pre_dispatch="2*n_jobs")
    yield from pool(joblib.delayed(work)(task) for task in tasks)


def _ray(work: Callable[[Task], Result], tasks: Sequence[Task], address: str) -> Iterator[Result]:
    try:
        import ray
    except ImportError:
        raise HostError("--ray needs Ray: pip install 'hedgerow[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=None if address == "local" else address, log_to_driver=False, include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise LinkError(f"no Ray cluster at {address}: {error}") from None
    remote: Any = ray.remote(work)
    waiting = [remote.remote(task) for task in tasks]
    for each in waiting:
        yield ray.get(each)
