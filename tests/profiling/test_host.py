"""The machine is described in words that are not empty."""

import os
import platform

from hedgerow.profiling.host import machine, usable_cores


def test_it_is_this_machine() -> None:
    found = machine()
    assert found.python == platform.python_version()
    assert found.cores == usable_cores() == len(os.sched_getaffinity(0))
    assert found.processor
    assert found.onnxruntime
    assert found.memory_mib > 0
