"""The models that are served: each opened once for all lanes, warmed up, with the medians of its segments' times."""

import statistics
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.samples import generate_inputs
from hedgerow.models.task import Task
from hedgerow.models.tensors import TensorSpec
from hedgerow.wire.faults import FaultKind, refuse
from hedgerow.wire.messages import ModelInfo, TaskInfo

SAMPLES_PER_SEGMENT = 64
_WARM_UP_RUNS = 3


class SegmentTimes:
    """Medians of the last measured times of each segment; written by lanes, read by the event loop."""

    def __init__(self, segments: int) -> None:
        self._lock = threading.Lock()
        self._samples: list[deque[int]] = [deque(maxlen=SAMPLES_PER_SEGMENT) for _ in range(segments)]
        self._medians_ns = [0] * segments
        self._runs = [0] * segments

    def note(self, segment: int, duration_ns: int) -> None:
        """One measured run of `segment`."""
        with self._lock:
            samples = self._samples[segment]
            samples.append(duration_ns)
            self._runs[segment] += 1
            self._medians_ns[segment] = int(statistics.median(samples))

    @property
    def runs(self) -> tuple[int, ...]:
        """How often each segment was run, warming up included."""
        return tuple(self._runs)

    def expected_ns(self, first: int, last: int) -> int:
        """Sum of the medians of first..last; a segment never measured counts as 0."""
        return sum(self._medians_ns[first : last + 1])


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of one task. Its chain may run on several lanes at once."""

    name: str
    task: Task
    chain: Chain
    times: SegmentTimes

    @property
    def last(self) -> int:
        """The index of the last segment."""
        return len(self.chain.segments) - 1

    def specs_after(self, joint: int) -> tuple[TensorSpec, ...]:
        """The tensors that segment joint+1 starts from; -1: the raw sample."""
        return self.chain.inputs if joint < 0 else self.chain.joint(joint)


class Catalogue:
    """All tasks of one server."""

    def __init__(self, tasks: Sequence[Task], *, threads: int = 1) -> None:
        self._models: dict[tuple[str, str], ServedModel] = {}
        self._by_name: dict[str, ServedModel] = {}
        self.tasks = tuple(tasks)
        try:
            for task in tasks:
                for name, chain in task.open_all(threads).items():
                    self._add(task, name, chain)
        except HedgerowError:
            self.close()
            raise

    @classmethod
    def load(cls, paths: Iterable[Path], *, threads: int = 1) -> "Catalogue":
        """Open what the paths name: task files (TOML), or ONNX models as tasks of one. UsageError, EngineError."""
        tasks = [Task.of_model(path) if path.suffix == ".onnx" else Task.load(path) for path in paths]
        if not tasks:
            raise UsageError("name at least one task file or .onnx model to serve")
        return cls(tasks, threads=threads)

    def _add(self, task: Task, name: str, chain: Chain) -> None:
        served = ServedModel(name, task, chain, SegmentTimes(len(chain.segments)))
        other = self._by_name.setdefault(name, served)
        if other.chain.model_id != served.chain.model_id:
            raise UsageError(f"two tasks name different models '{name}'; rename one, or serve them from two ports")
        self._models[task.task_id, name] = served

    def warm_up(self) -> None:
        """Run each model a few times, so that the first request finds everything ready and its time is known."""
        for served in self._models.values():
            _measure(served)

    def info(self) -> tuple[TaskInfo, ...]:
        """What Describe says."""
        return tuple(
            TaskInfo(
                task.task_id,
                task.name,
                tuple(_model_info(self._models[task.task_id, entry.name]) for entry in task.models),
            )
            for task in self.tasks
        )

    def named(self, name: str) -> ServedModel:
        """The model that the Open Inference Protocol knows by `name`. FaultError(WRONG_MODEL)."""
        if name not in self._by_name:
            raise refuse(FaultKind.WRONG_MODEL, f"no model '{name[:80]}' here; there are: {', '.join(self._by_name)}")
        return self._by_name[name]

    def find(self, task_id: str, name: str, chain_id: str) -> ServedModel:
        """The model of a crossing. FaultError(WRONG_TASK, WRONG_MODEL)."""
        if task_id not in {task.task_id for task in self.tasks}:
            raise refuse(FaultKind.WRONG_TASK, f"no task {task_id[:16]}... here; both sides need the same task file")
        served = self._models.get((task_id, name))
        if served is None:
            raise refuse(FaultKind.WRONG_MODEL, f"the task has no model '{name[:80]}'")
        if served.chain.chain_id != chain_id:
            ours = served.chain.chain_id
            raise refuse(
                FaultKind.WRONG_MODEL,
                f"'{name}' is chain {ours[:16]}... here, not {chain_id[:16]}...; both sides need the same files",
            )
        return served

    def close(self) -> None:
        """Close every chain."""
        for served in self._models.values():
            served.chain.close()


def _model_info(served: ServedModel) -> ModelInfo:
    chain = served.chain
    return ModelInfo(served.name, chain.model_id, chain.chain_id, tuple(segment.name for segment in chain.segments))


def _measure(served: ServedModel) -> None:
    """Run and time the segments on generated inputs; a model that takes none is measured by its first real requests."""
    chain = served.chain
    try:
        inputs = generate_inputs(chain.joint(0))
        chain.run(inputs, 1, served.last)  # the first run reserves memory and is not counted
        for _ in range(_WARM_UP_RUNS):
            chain.run(inputs, 1, served.last, segment_done=served.times.note)
    except HedgerowError:
        return
