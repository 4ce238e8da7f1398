"""What this machine is, in words."""

import os
import platform
from pathlib import Path

import psutil

from hedgerow import __name__ as package
from hedgerow.models.engines import get_engine
from hedgerow.profiling.profile import Machine


def machine() -> Machine:
    """This machine: the cores are those this process may use."""
    from importlib.metadata import version

    return Machine(
        processor=processor(),
        cores=usable_cores(),
        memory_mib=round(psutil.virtual_memory().total / 2**20),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        onnxruntime=get_engine("onnxruntime").version,
        hedgerow=version(package),
    )


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's own name where the system tells it (Linux on x86 does), else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return next((name for name in names if name), platform.processor() or platform.machine())
