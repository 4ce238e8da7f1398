"""The interpreter and the engine: what of their build and settings costs time at the wrong moment."""

import gc
import os
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping

from hedgerow.doctor.findings import Finding, Level
from hedgerow.models.engines import get_engine

_FULL_MS_MAX = 10.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
_DEBUGGING = (
    "PYTHONDEVMODE",
    "PYTHONTRACEMALLOC",
    "PYTHONASYNCIODEBUG",
    "PYTHONFAULTHANDLER",
    "PYTHONPROFILEIMPORTTIME",
)


def interpreter(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """This process's interpreter stands for the one that answers: run the doctor with the same one."""
    yield _build()
    yield _debugging(environment)
    yield _switching()
    yield _collections()
    yield _engine(environment)


def _build() -> Finding:
    version = f"Python {sys.version.split()[0]}"
    if sysconfig.get_config_var("Py_DEBUG"):
        return Finding(
            "Python",
            Level.WARN,
            f"{version}, a debug build",
            "everything takes several times as long",
            "use a release build",
        )
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        risk = "no bound of this project was measured on it"
        return Finding("Python", Level.INFO, f"{version}, free-threaded", risk, "profile with this very build")
    return Finding("Python", Level.OK, version)


def _debugging(environment: Mapping[str, str]) -> Finding:
    found = [name for name in _DEBUGGING if environment.get(name)]
    found += [f"PYTHONMALLOC={environment['PYTHONMALLOC']}"] if "debug" in environment.get("PYTHONMALLOC", "") else []
    found += ["a trace function"] if sys.gettrace() is not None else []
    if not found:
        return Finding("debugging", Level.OK, "no tracing or debugging switched on")
    risk = "each call and allocation costs more, at moments that are not ours"
    return Finding("debugging", Level.WARN, ", ".join(found), risk, "switch it off where deadlines count")


def _switching() -> Finding:
    milliseconds = sys.getswitchinterval() * 1e3
    seen = f"a waiting Python thread gets its turn after {milliseconds:g} ms"
    if milliseconds <= 1.0:
        return Finding("switch interval", Level.OK, seen)
    risk = "beside a Python thread that computes, timer and lanes wait that long, often several times over"
    do = "keep computing threads in another process, or Session(determinism=Determinism(switch_interval_s=0.0005))"
    return Finding("switch interval", Level.INFO, seen, risk, do)


def _collections() -> Finding:
    """What one full collection takes of this process's heap: that of the doctor, with engine and profile loaded."""
    took_ms = min(_full_collection_ms() for _ in range(3))
    count = len(gc.get_objects())
    seen = f"a full collection stops every thread for {took_ms:.1f} ms of computing (this process's {count:,} objects; yours has more)"
    risk = "it comes in the middle of whatever allocates, a running answer included"
    do = "Session(determinism=Determinism(collect_when_idle=True)) moves it to moments with nothing in flight"
    if not gc.isenabled():
        return Finding(
            "garbage", Level.INFO, f"automatic collection is off; {seen}", "memory grows with every cycle", do
        )
    return Finding("garbage", Level.WARN if took_ms > _FULL_MS_MAX else Level.INFO, seen, risk, do)


def _full_collection_ms() -> float:
    """Computing time: what others take of the core meanwhile is not the collection's."""
    begun = time.thread_time_ns()
    gc.collect()
    return (time.thread_time_ns() - begun) / 1e6


def _engine(environment: Mapping[str, str]) -> Finding:
    version = f"onnxruntime {get_engine('onnxruntime').version}"
    found = [f"{name}={environment[name]}" for name in _THREADS if name in environment]
    if not found:
        return Finding("engine", Level.OK, f"{version}; threads are what the session asks for")
    risk = "libraries beside the engine take these threads and compete with it"
    return Finding(
        "engine", Level.INFO, f"{version}; {', '.join(found)}", risk, "profile and answer with equal settings"
    )
