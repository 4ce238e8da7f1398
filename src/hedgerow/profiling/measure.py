"""Makes a profile: opens the task's models and measures, in a stated order and within a stated time, what plans need.

Order: open and warm up; the server, if there is one; what is alive at each joint; agreement of each arm (all cores,
untimed); then, one thing at a time, codecs and segments on the quiet machine, the same beside a busy process, timers and
cancellation.
Rule: whatever is cut short to keep to the time is said through `progress`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hedgerow import codecs
from hedgerow.errors import LinkError, PeerError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.preparation import FRAME
from hedgerow.models.task import Task
from hedgerow.profiling.agreement import Judge, run_to_joints
from hedgerow.profiling.busy import busy_processes
from hedgerow.profiling.crossings import (
    RAW,
    Alive,
    Crossing,
    IdleCrossing,
    crossing_profile,
    crossings_for,
    encode_times_ns,
    time_crossing,
)
from hedgerow.profiling.host import machine
from hedgerow.profiling.interrupts import cancellation_ns, delivery_ns, timer_lateness_ns
from hedgerow.profiling.profile import (
    FORMAT,
    Agreement,
    CloudProfile,
    CrossingProfile,
    ModelProfile,
    Profile,
    SegmentProfile,
)
from hedgerow.profiling.runs import RunTimes, time_runs
from hedgerow.profiling.samples import Frames, Sample, generated, samples_of, shuffled
from hedgerow.profiling.server import ServerClient, measure_server, unmeasured
from hedgerow.profiling.times import IdleAndLoaded, times

SECONDS_QUICK = 4.0
SECONDS_FULL = 90.0
SECONDS_MIN = 1.0
BUSY_PROCESSES = 1
GENERATED_SAMPLES = 8
LARGER = 1.1  # frames this much larger than what the models look at are worth shrinking first


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried. `*_until` are moments, as shares of the whole time, at which a phase ends once its least is done."""

    samples_max: int
    samples_min: int
    frame_codecs: tuple[str, ...]
    tensor_codecs: tuple[str, ...]
    feature_codecs: tuple[str, ...]
    codecs_of_all_models: tuple[str, ...]  # input codecs that are tried with every model, not the reference alone
    joints_until: float
    agreement_until: float
    idle_until: float
    loaded_until: float
    runs_min: int
    runs_max: int
    encodings_loaded: int
    timer_waits: int
    cancellations: int
    server_answers: int


QUICK = Effort(
    samples_max=24,
    samples_min=12,
    frame_codecs=(RAW, "jpeg:50", "jpeg:75"),
    tensor_codecs=(RAW, "q8"),
    feature_codecs=("q4:channel",),
    codecs_of_all_models=(RAW,),
    joints_until=0.30,
    agreement_until=0.62,
    idle_until=0.74,
    loaded_until=0.92,
    runs_min=5,
    runs_max=200,
    encodings_loaded=6,
    timer_waits=60,
    cancellations=5,
    server_answers=3,
)
FULL = Effort(
    samples_max=500,
    samples_min=10,
    frame_codecs=(RAW, "jpeg:25", "jpeg:50", "jpeg:75", "jpeg:90", "webp:25", "webp:50", "webp:75", "webp:90"),
    tensor_codecs=(RAW, "q8", "q4"),
    feature_codecs=("q8", "q4", "q4:channel", "q3:channel", "q2:channel"),
    codecs_of_all_models=(RAW, "jpeg:25", "jpeg:50", "jpeg:75", "q8", "q4"),
    joints_until=0.08,
    agreement_until=0.34,
    idle_until=0.50,
    loaded_until=0.92,
    runs_min=20,
    runs_max=3000,
    encodings_loaded=30,
    timer_waits=1000,
    cancellations=60,
    server_answers=20,
)


def with_codecs(effort: Effort, specs: Sequence[str]) -> Effort:
    """The same with these input codecs too; UsageError for one that is none, or codes features alone."""
    for spec in specs:
        if codecs.get(spec).kind == "features":
            raise UsageError(
                f"codec '{spec}' codes features inside a model; name one for its input, such as jpeg:90,292"
            )
    frames, tensors = (tuple(dict.fromkeys((*each, *specs))) for each in (effort.frame_codecs, effort.tensor_codecs))
    return replace(effort, frame_codecs=frames, tensor_codecs=tensors)


def make_profile(
    task: Task,
    frames: Frames = (),
    *,
    seconds: float | None = None,
    quick: bool = False,
    threads: int = 1,
    server_client: ServerClient | None = None,
    progress: Callable[[str], None] = lambda _line: None,
    lane: str = "cpu",
    effort: Effort | None = None,
) -> Profile:
    """Measure `task` on this machine within about `seconds` (4 when quick, else 90) and return its profile.

    `effort` is what is tried, None: as much as `quick` says.
    `frames` are raw samples, by name if a mapping; without any, inputs are generated. Errors: UsageError (a sample that does
    not fit the task, too few seconds), EngineError (a model fails). A server that cannot be measured is no error: `progress`
    says so, and its times are then an estimate.
    """
    seconds = (SECONDS_QUICK if quick else SECONDS_FULL) if seconds is None else seconds
    if not seconds >= SECONDS_MIN:
        raise UsageError(f"a profile takes at least {SECONDS_MIN:g} s, not {seconds:g}")
    effort = effort or (QUICK if quick else FULL)
    given = shuffled(samples_of(task, frames))
    samples = (given or generated(task, GENERATED_SAMPLES))[: effort.samples_max]
    if len(given) > len(samples):
        progress(f"using {len(samples)} of {len(given)} samples")
    pictures = task.model(task.reference).preparation is not None
    inputs = "generated" if not given else "pictures" if pictures else "tensors"
    if not given:
        progress("no samples were given: inputs are generated, so agreement means little")
    work = _Work(task, samples, effort, seconds, time.monotonic(), progress, {}, {})
    try:
        work.open(threads)
        return _measure(work, server_client, inputs=inputs, quick=quick, threads=threads, lane=lane)
    finally:
        for chain in work.chains.values():
            chain.close()


@dataclass(slots=True)
class _Work:
    task: Task
    samples: Sequence[Sample]
    effort: Effort
    seconds: float
    begun: float
    progress: Callable[[str], None]
    chains: dict[str, Chain]
    open_seconds: dict[str, float]

    def open(self, threads: int) -> None:
        """Open every model's chain and run it once."""
        for model in self.task.models:
            if not model.joints and not model.trunk:
                self.progress(
                    f"model '{model.name}' names no joints: splits inside it are not tried; `hedgerow model inspect`"
                    " lists the cuts, `joints = [...]` in the task file keeps some"
                )
        self.progress(f"opening {', '.join(model.name for model in self.task.models)}")
        self.chains = self.task.open_all(
            threads, opened=lambda name, seconds: self.open_seconds.update({name: seconds})
        )
        for name, chain in self.chains.items():
            started = time.monotonic()
            chain.warm_up()
            self.open_seconds[name] = round(self.open_seconds[name] + time.monotonic() - started, 4)

    def server(self, client: ServerClient | None) -> CloudProfile:
        """What the server takes; a server that cannot be asked leaves an estimate, and that is said."""
        if client is None:
            return unmeasured(tuple(self.chains))
        self.progress(f"asking the server at {client.address}")
        try:
            return measure_server(client, self.task, self.chains, self.samples, count=self.effort.server_answers)
        except (LinkError, PeerError) as error:
            self.progress(f"WARNING: the server was not measured: {error} [at fault: {error.at_fault}]")
            return unmeasured(tuple(self.chains))

    def joints(self) -> Alive:
        """What is alive at each joint; samples are cut to those that there was time for."""
        self.progress(f"running {len(self.samples)} samples to every joint")
        end = self.moment(self.effort.joints_until)
        alive, done = run_to_joints(self.chains, self.samples, end_s=end, samples_min=self.effort.samples_min)
        self._keep(done)
        return alive

    def frame_codecs(self) -> tuple[str, ...]:
        """The input codecs, and for frames larger than the models look at, the same with shrinking before."""
        sides = [model.preparation.resize_shorter for model in self.task.models if model.preparation is not None]
        frames = sorted(min(sample.tensors[FRAME].shape[:2]) for sample in self.samples)
        specs = self.effort.frame_codecs
        if not sides or frames[len(frames) // 2] <= LARGER * max(sides):
            return specs
        shrunk = (f"{spec},{max(sides)}" for spec in specs if spec.startswith("jpeg:") and "," not in spec)
        return tuple(dict.fromkeys((*specs, *shrunk)))

    def crossings(self, alive: Alive) -> list[Crossing]:
        """Every codec at every place where something can cross."""
        pictures = self.task.model(self.task.reference).preparation is not None
        places = {
            (model, joint): tensors
            for (model, joint), tensors in alive.items()
            if not (model and joint == len(self.chains[model].segments) - 1)  # its outputs: nothing is left to run
            and not (model and self.task.model(model).precision_of)  # its tensors go on as the model it is a copy of
            and (joint != 0 or pictures)  # without a preparation joint 0 is the raw sample
        }
        specs = self.frame_codecs() if pictures else self.effort.tensor_codecs
        return crossings_for(places, specs, self.effort.feature_codecs)

    def agreement(self, alive: Alive, crossings: Sequence[Crossing]) -> tuple[dict[str, Agreement], Judge]:
        """Agreement of every arm; samples are cut to those that there was time for."""
        judge = Judge(self.task, self.chains, alive, crossings)
        kin = {model.name for model in self.task.models if model.trunk or model.precision_of} - {self.task.reference}
        everywhere, reference = tuple(name for name in self.chains if name not in kin), (self.task.reference,)
        arms = judge.arms(lambda codec: everywhere if codec in self.effort.codecs_of_all_models else reference)
        arms += judge.mixed()
        arms += judge.prefixes(arms)
        self.progress(f"comparing the answers of {len(arms)} arms with {self.task.reference}")
        end = self.moment(self.effort.agreement_until)
        found, done = judge.judge(arms, len(self.samples), end_s=end, samples_min=self.effort.samples_min)
        self._keep(done)
        return found, judge

    def _keep(self, done: int) -> None:
        if done < len(self.samples):
            self.progress(f"time allows {done} of {len(self.samples)} samples")
            self.samples = self.samples[:done]

    def moment(self, share: float) -> float:
        """When this share of the whole time is over (monotonic, s)."""
        return self.begun + self.seconds * share

    def runs(self, until: float) -> dict[str, RunTimes]:
        """Chained runs of all models in turn until this share of the time is over."""
        effort = self.effort
        return time_runs(
            self.chains, self.samples, end_s=self.moment(until), runs_min=effort.runs_min, runs_max=effort.runs_max
        )


def _measure(work: _Work, client: ServerClient | None, *, inputs: str, quick: bool, threads: int, lane: str) -> Profile:
    task, effort = work.task, work.effort
    cloud = work.server(client)
    alive = work.joints()
    crossings = work.crossings(alive)
    agreement, judge = work.agreement(alive, crossings)
    work.progress(f"timing segments and {len(crossings)} encodings on the quiet machine")
    places = [alive[each.model, each.joint][: len(work.samples)] for each in crossings]
    idle_crossings = [time_crossing(each, place) for each, place in zip(crossings, places, strict=True)]
    idle = work.runs(effort.idle_until)
    work.progress("timing the same beside a busy process")
    with busy_processes(BUSY_PROCESSES):
        count = effort.encodings_loaded
        loaded_ns = [encode_times_ns(each, place, count=count) for each, place in zip(crossings, places, strict=True)]
        loaded = work.runs(effort.loaded_until)
    models = tuple(_model_profile(work, judge, name, idle[name], loaded[name], lane) for name in work.chains)
    slowest = max(models, key=lambda model: model.segments[0].tail.median_ns)
    chain, slowest_ns = work.chains[slowest.name], slowest.segments[0].tail.median_ns
    work.progress("timing timers, deliveries and cancellation beside a running model")
    late_ns = timer_lateness_ns(chain, work.samples, count=effort.timer_waits)
    told_ns = delivery_ns(task, slowest.name, chain, work.samples, count=effort.timer_waits)
    cancel_ns = cancellation_ns(chain, work.samples, count=effort.cancellations, median_ns=slowest_ns)
    return Profile(
        format=FORMAT,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        task_id=task.task_id,
        task_name=task.name,
        reference=task.reference,
        quick=quick,
        threads=threads,
        busy_processes=BUSY_PROCESSES,
        inputs=inputs,
        samples=tuple(sample.name for sample in work.samples),
        start_up_seconds=round(sum(work.open_seconds.values()), 4),
        timer_lateness=times(late_ns),
        cancellation=times(cancel_ns),
        delivery=times(told_ns),
        models=models,
        crossings=_crossing_profiles(crossings, idle_crossings, loaded_ns),
        agreement=agreement,
        cloud=cloud,
    )


def _crossing_profiles(
    crossings: Sequence[Crossing], idle: Sequence[IdleCrossing], loaded_ns: Sequence[Sequence[int]]
) -> tuple[CrossingProfile, ...]:
    return tuple(crossing_profile(*each) for each in zip(crossings, idle, loaded_ns, strict=True))


def _model_profile(work: _Work, judge: Judge, name: str, idle: RunTimes, loaded: RunTimes, lane: str) -> ModelProfile:
    chain, model = work.chains[name], work.task.model(name)
    outputs = [judge.outputs(name, index) for index in range(len(work.samples))]
    confidence = [work.task.interpret(each).confidence for each in outputs]
    segments = tuple(
        SegmentProfile(
            segment.name,
            IdleAndLoaded(times(idle.segments_ns[:, index]), times(loaded.segments_ns[:, index])),
            IdleAndLoaded(times(idle.tails_ns[:, index]), times(loaded.tails_ns[:, index])),
        )
        for index, segment in enumerate(chain.segments)
    )
    return ModelProfile(
        name=name,
        model_id=chain.model_id,
        chain_id=chain.chain_id,
        lane=lane,
        open_seconds=work.open_seconds[name],
        answer_bytes=sum(array.nbytes for array in outputs[0].values()),
        confidence=tuple(None if each is None else round(each, 4) for each in confidence),
        segments=segments,
        trunk=model.trunk,
        shared=chain.shared,
        precision_of=model.precision_of,
        gate=model.gate,
    )
