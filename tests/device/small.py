"""Small sessions for the device's tests: a task of dense layers, a profile made by hand, and what to expect of answers.

The hand-made profile says that the device takes 8 ms (60 at most) for what takes it less than one, so that a good link is
the cheaper way and a busy test machine still keeps the bounds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime

from hedgerow.core import records as r
from hedgerow.core.records import MS
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array
from hedgerow.profiling import Profile
from hedgerow.profiling.host import machine
from hedgerow.profiling.profile import Agreement, CrossingProfile, ModelProfile, SegmentProfile
from hedgerow.profiling.server import unmeasured
from hedgerow.profiling.times import IdleAndLoaded, Times
from tests.models.small_models import write_classifier
from tests.wire.serving import assert_close, write_task

WIDTH = 64
PREPARATION = """[model.preparation]
version = 1
resize_shorter = 16
crop = 16
interpolation = "bilinear"
input = "input"
scale = 255
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
layout = "NCHW"
"""


def dense_task(folder: Path, name: str = "tiny", seed: int = 0) -> Task:
    """Four dense layers, "x" float32 (batch, 64) -> "y", cut after each."""
    return Task.load(write_task(folder, name=name, width=WIDTH, seed=seed))


def pair_task(folder: Path) -> Task:
    """Two classifiers of the same pictures; "big" is the reference."""
    text = '[task]\nname = "pair"\nkind = "classification"\nreference = "big"\nlabels = "labels.txt"\n'
    (folder / "labels.txt").write_text("\n".join(f"label{index}" for index in range(5)))
    for seed, name in enumerate(("small", "big")):
        write_classifier(folder / f"{name}.onnx", classes=5, side_px=16, seed=seed)
        text += f'[[model]]\nname = "{name}"\nfile = "{name}.onnx"\n{PREPARATION}'
    (folder / "pair.toml").write_text(text)
    return Task.load(folder / "pair.toml")


def _times(median_ms: float, bound_ms: float) -> IdleAndLoaded:
    most = int(bound_ms * MS / 1.1)  # 2 x 1,000 samples: the bound is 10 % above their quantile
    one = Times(1000, int(median_ms * MS), most, most, most, most)
    return IdleAndLoaded(one, one)


def profile_of(
    task: Task,
    *,
    median_ms: dict[str, float] | None = None,
    bound_ms: dict[str, float] | None = None,
    agreeing: dict[str, int] | None = None,
    confidence: dict[str, tuple[float, ...]] | None = None,
    samples: int = 20,
) -> Profile:
    """A profile by hand; times by model (8 ms and 60 ms at most), agreement of models with the reference (all)."""
    models, crossings, agreement = [], [], {}
    for model in task.models:
        chain = task.open(model.name)
        median, bound = (median_ms or {}).get(model.name, 8.0), (bound_ms or {}).get(model.name, 60.0)
        count = len(chain.segments)
        segments = tuple(
            SegmentProfile(each.name, _times(median / count, bound / 2), _times(median * (count - i) / count, bound))
            for i, each in enumerate(chain.segments)
        )
        sure: tuple[float | None, ...] = (confidence or {}).get(model.name, (None,) * samples)
        named = (model.name, model.model_id, chain.chain_id, "cpu", 0.1, 300, sure, segments)
        models.append(ModelProfile(*named, model.trunk, chain.shared, model.precision_of, model.gate))
        agrees = (agreeing or {}).get(model.name, samples)
        same = Agreement(agrees / samples, "1" * agrees + "0" * (samples - agrees))
        agreement[f"local:{model.name}"] = same
        if not model.trunk and not model.precision_of:
            agreement[f"cloud:{model.name}:raw"] = same
        for joint in range(1 + max(chain.shared, 0), 1 if model.precision_of else count - 1):
            crossings.append(
                CrossingProfile(model.name, joint, "raw", 300, 300, _times(0.5, 20.0), _times(0.1, 1.0).idle)
            )
            agreement[f"split:{model.name}@{joint}:raw"] = same
            for copy in task.models:
                if copy.precision_of == model.name:
                    less = min(agrees, (agreeing or {}).get(copy.name, samples))
                    alike = Agreement(less / samples, "1" * less + "0" * (samples - less))
                    agreement[f"split:{copy.name}>{model.name}@{joint}:raw"] = alike
        chain.close()
    crossings.append(CrossingProfile("", -1, "raw", 300, 300, _times(0.5, 20.0), _times(0.1, 1.0).idle))
    return Profile(
        format=1,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        task_id=task.task_id,
        task_name=task.name,
        reference=task.reference,
        quick=True,
        threads=1,
        busy_processes=0,
        inputs="generated",
        samples=tuple(f"sample {index}" for index in range(samples)),
        start_up_seconds=0.1,
        timer_lateness=_times(0.1, 10.0).idle,
        cancellation=_times(1.0, 10.0).idle,
        models=tuple(models),
        crossings=tuple(crossings),
        agreement=agreement,
        cloud=unmeasured([model.name for model in task.models]),
    )


class Oracle:
    """The whole model in plain ONNX Runtime: what an answer to this very sample must be."""

    def __init__(self, task: Task) -> None:
        self._session = onnxruntime.InferenceSession(
            str(task.model(task.reference).path), providers=["CPUExecutionProvider"]
        )

    def outputs(self, x: Array) -> list[Array]:
        found: list[Array] = self._session.run(None, {"x": x})
        return found

    def check(self, x: Array, outputs: dict[str, Array]) -> None:
        assert_close(outputs["y"], self.outputs(x)[0])


def tagged(number: int, batch: int = 1) -> Array:
    """A sample like no other."""
    return np.random.default_rng(number).standard_normal((batch, WIDTH)).astype(np.float32)


class Steps:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, r.Event, r.Outcome]] = []

    def __call__(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        self.steps.append((now_ns, event, outcome))

    def records(self) -> Iterable[tuple[int, r.Record]]:
        return [(now, record) for now, _, outcome in list(self.steps) for record in outcome.records]

    def moved_to(self, state: str) -> list[int]:
        """When the breaker went there."""
        return [now for now, record in self.records() if isinstance(record, r.BreakerMoved) and record.after == state]

    def unexcused(self) -> list[r.Delivered]:
        """Late answers although no bound was exceeded before them and a reserve was promised."""
        exceeded, promised, late = False, set(), []
        for _, record in self.records():
            match record:
                case r.BoundExceeded():
                    exceeded = True
                case r.Decision(reason=reason) if reason is not r.Reason.NOTHING_FITS:
                    promised.add(record.request)
                case r.Delivered(status=r.Status.LATE) if not exceeded and record.request in promised:
                    late.append(record)
                case _:
                    pass
        return late
