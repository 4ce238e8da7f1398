"""Which determinism settings this machine allows: each tried in a process of its own, which then ends and leaves nothing.

python -m hedgerow.doctor.allowed      prints what came of each as JSON
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from hedgerow.device import scheduling
from hedgerow.device.scheduling import Setting
from hedgerow.doctor.findings import Finding, Level

_PATIENCE_S = 20.0
_ADVICE = {
    "timer priority": (
        "the reserve's timer competes with every other thread of this machine",
        "setcap cap_sys_nice, LimitRTPRIO=1 (systemd), or rtprio 1 in limits.conf",
    ),
    "memory lock": (
        "under memory pressure the system may drop our code and weights and read them again",
        "LimitMEMLOCK=infinity (systemd), ulimit -l unlimited, or CAP_IPC_LOCK",
    ),
    "cores of a lane": ("lanes cannot be kept away from other work", "allow sched_setaffinity in the sandbox"),
}


def try_each() -> list[Setting]:
    """Try every setting on this very process."""
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    lane = scheduling.thread_on("cores of a lane", 0, [core])
    return [scheduling.thread_first(0, 1), lane, scheduling.lock_memory()]


def allowed() -> Iterator[Finding]:
    """What came of each in a process that has ended since."""
    done = subprocess.run(
        [sys.executable, "-m", __name__], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield Finding(
            "settings", Level.WARN, f"the trial ended with: {said}", "unknown which settings hold here", "report it"
        )
        return
    for each in json.loads(done.stdout):
        yield _finding(Setting(**each))


def _finding(setting: Setting) -> Finding:
    risk, do = _ADVICE[setting.name]
    if setting.done and not setting.how.startswith("nice"):
        return Finding(f"{setting.name} allowed", Level.OK, setting.how)
    word = "in part" if setting.done else "not allowed"
    return Finding(f"{setting.name} {word}", Level.INFO, setting.how, risk, do)


if __name__ == "__main__":
    print(json.dumps([{name: getattr(each, name) for name in Setting.__slots__} for each in try_each()]))
