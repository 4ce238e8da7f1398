"""A device below the guard, for tests: a real session on a small task; `python guarded_device.py TASK.toml FRAMES`."""

import sys
import time
from pathlib import Path

from hedgerow.device.guarded import Guarded
from hedgerow.device.session import Session
from hedgerow.errors import GuardLost, HedgerowError, UsageError
from hedgerow.models.task import Task
from tests.device.small import profile_of, tagged


def told(error: HedgerowError) -> None:
    print("lost" if isinstance(error, GuardLost) else f"problem: {error}", flush=True)


def main() -> None:
    task = Task.load(Path(sys.argv[1]))
    with Session(task, profile=profile_of(task), say=lambda text: None) as session:
        try:
            Guarded(session)
        except UsageError as error:
            print(error, flush=True)
        session.open_stream("camera", deadline_ms=2000.0)
        with Guarded(session, on_problem=told) as guarded:
            number = 0
            while number < int(sys.argv[2]) and guarded.lost is None:
                guarded.submit(tagged(number))
                number += 1
                time.sleep(0.02)
            time.sleep(0.5)
            if guarded.lost is not None:
                print(f"goes on: {session.answer(tagged(number), stream='camera').status}", flush=True)
        while guarded.lost is None:
            time.sleep(1.0)


if __name__ == "__main__":
    main()
