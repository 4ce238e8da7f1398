"""The same work on one core, on many, or on many machines: results in the order of the tasks, equal bit for bit.

Rules: a task is plain data and a function of a module; what it gives depends on nothing else, so where it runs cannot matter.
Many cores: joblib. Many machines: Ray, an extra (`pip install hedgerow[ray]`), asked for by an address alone. Its machines get
this very package sent; Python, NumPy and the other packages they must have themselves, in the same versions. What is interrupted
is cancelled there too.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

from hedgerow.errors import HostError, LinkError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")
LOCAL: Final = "local"
CONNECT_TIMEOUT_S: Final = 5.0
WAITING_PER_CPU: Final = 4  # tasks handed to the cluster and not yet fetched
_CLIENT: Final = "ray://"
_joined: list[str] = []  # the address that this process asked for, once it is connected


def spread(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int = 0,
    ray: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Result]:
    """`work` of every task. `workers` 0: one a core; `ray`: the address of a Ray cluster (HOST:PORT, "auto"; "local" starts one).

    UsageError for an address that cannot be one, LinkError for a cluster that cannot be reached or is lost, HostError without
    Ray; an error that `work` raises comes as it is, and ends the rest.
    """
    found: list[Result] = []
    with closing(_ray(work, tasks, ray) if ray else _here(work, tasks, workers)) as results:
        for result in results:
            found.append(result)
            progress(1)
    return found


def _here(work: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Generator[Result, None, None]:
    workers = min(workers or os.cpu_count() or 1, max(1, len(tasks)))
    if workers == 1:
        yield from map(work, tasks)
        return
    import joblib

    pool = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1, pre_dispatch="2*n_jobs")
    yield from pool(joblib.delayed(work)(task) for task in tasks)


def _ray(work: Callable[[Task], Result], tasks: Sequence[Task], address: str) -> Generator[Result, None, None]:
    ray = _connected(address)
    remote: Any = ray.remote(scheduling_strategy="SPREAD")(work)
    waiting: deque[Any] = deque()
    most = max(1, int(WAITING_PER_CPU * ray.cluster_resources().get("CPU", 1)))
    left = iter(tasks)
    try:
        while True:
            while len(waiting) < most and (task := next(left, left)) is not left:
                waiting.append(remote.remote(task))
            if not waiting:
                return
            yield _fetched(ray, waiting.popleft(), address)
    finally:
        for each in waiting:  # interrupted, or one of them failed
            ray.cancel(each, force=True)


def _fetched(ray: Any, reference: Any, address: str) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # raised by the work itself
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
    except ray.exceptions.RayError as error:
        raise LinkError(f"the Ray cluster at {address} lost a piece of work: {error}; try again") from None
    except KeyboardInterrupt:
        ray.cancel(reference, force=True)
        raise


def _connected(address: str) -> Any:
    """The module, connected: to this address, or to what the caller's program connected it to before."""
    try:
        import ray
    except ImportError:
        raise HostError("--ray needs Ray: pip install 'hedgerow[ray]'") from None
    if ray.is_initialized():
        if not _joined or _joined == [address]:
            return ray
        ray.shutdown()
    _check_reachable(address)
    package = str(Path(__file__).parents[1])
    settings: dict[str, Any] = {"log_to_driver": False, "runtime_env": {"py_modules": [package]}}
    settings |= {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise LinkError(f"no Ray cluster at {address}: {error}") from None
    _joined[:] = [address]
    return ray


def _check_reachable(address: str) -> None:
    """Whether anything listens there: Ray itself tries for minutes, and then ends the process."""
    if address in (LOCAL, "auto"):
        return
    host, colon, port = address.removeprefix(_CLIENT).rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"a Ray cluster at '{address}' cannot be: give HOST:PORT, ray://HOST:PORT, auto or local")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise LinkError(
            f"no Ray cluster at {address}: {error.strerror or error}; is it started, and no firewall between?"
        ) from None
