"""`Session`: the device's front door. Give it a task or a model and, if there is one, a server; it answers on time.

It starts and works without a server, profile or network. `run` has the order and types of
`onnxruntime.InferenceSession.run`; `answer` and `submit` give the whole Answer.
"""

import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from hedgerow.assurance.certification import CertificateFile
from hedgerow.codecs import Calibration
from hedgerow.core import Criticality, Prices, Stream
from hedgerow.core.arbitration import Arbitration
from hedgerow.core.arms import ArmTable, CrossStep
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.policies import Policy, by_name
from hedgerow.core.policies.guarding import Guarded
from hedgerow.core.records import MS, Limits, Status, StreamOpened, TrustRestored
from hedgerow.device.answer import Answer
from hedgerow.device.certified import governed
from hedgerow.device.determinism import Applied, Determinism, apply
from hedgerow.device.driver import Driver, Listener
from hedgerow.device.herald import Herald
from hedgerow.device.journal import BYTES_MAX as JOURNAL_BYTES_MAX
from hedgerow.device.journal import Header, Journal
from hedgerow.device.lane import Lane, crossing_key
from hedgerow.device.network import CloudNetwork
from hedgerow.device.seeing import Seer, blind
from hedgerow.device.vitals import VitalsWatch
from hedgerow.errors import EngineError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array, Tensors
from hedgerow.planning import arm_table, calibrations, every_arm
from hedgerow.planning.arbitrating import arbitration_for
from hedgerow.planning.arms import Tiers
from hedgerow.profiling import Profile, make_profile, quick_frames
from hedgerow.profiling.samples import Frames
from hedgerow.wire.channels import TlsFiles

_MAIN = "main"
PLAIN = "oip://"
Sample = Array | str | Path | Mapping[str, Array]


class SlowDevice(Protocol):
    """What emulates a slower device (see hedgerow.emulation); real devices have none."""

    @property
    def factor(self) -> float: ...

    def extra_ns(self, profiled_median_ns: int) -> int: ...


class Session:
    """Answers one task's requests, each by its deadline.

    `task` is a Task, a task file or a model file; `server` "host:port", "oip://host:port" for a server that only speaks the
    Open Inference Protocol (it gets prepared tensors for whole models), or None; `profile` a Profile, its file, or None for
    a quick one made now (from `frames`, raw samples, if given); `deadline_ms` counts from capture; `criticality` "safety", "mission" or "background";
    `safe_value` is delivered at the deadline when nothing else can be (None: the late answer is delivered instead);
    `period_ms` the least distance between two samples, when known; `journal` a file to keep every decision in, of at most
    `journal_bytes_max`;
    `policy` a name (`hedgerow.core.policies.names()`, or "only:ARM") or a policy of your own, whose faults cost no answer: least
    expected cost then decides, and the first is said;
    `determinism` how steadily it runs (default: what touches only this session's own threads); `watch_vitals` tells the core
    of temperature and battery where they can be read; `arbitration` the rules, or their file, for what is said when models see
    different things (docs/arbitration.md). `certificate` (a file of `hedgerow certify`, with the profile that it was
    made of) brings its own streams, with their safe values, in place of the one that the settings above describe, and
    governs: see `mode`.
    Raises UsageError, EngineError or HostError before anything is admitted; afterwards a failure of the cloud is never
    an exception.
    """

    _herald: Herald | None = None

    def __init__(
        self,
        task: Task | str | Path,
        server: str | None = None,
        *,
        profile: Profile | str | Path | None = None,
        deadline_ms: float = 100.0,
        criticality: str = "mission",
        safe_value: object = None,
        period_ms: float | None = None,
        policy: str | Policy = "ours",
        prices: Prices | None = None,
        budgets: BudgetSettings | None = None,
        limits: Limits | None = None,
        journal: str | Path | None = None,
        journal_bytes_max: int = JOURNAL_BYTES_MAX,
        frames: Frames = (),
        threads: int = 1,
        tls: TlsFiles | None = None,
        slow_device: SlowDevice | None = None,
        determinism: Determinism | None = None,
        watch_vitals: bool = True,
        certificate: CertificateFile | str | Path | None = None,
        arbitration: Arbitration | str | Path | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._say = say or (lambda text: print(f"hedgerow: {text}", file=sys.stderr))
        main = checked_stream(_MAIN, deadline_ms, criticality, safe_value, period_ms)
        if server is not None:
            address_of(server)
        chosen = by_name(policy) if isinstance(policy, str) else Guarded(policy, self._say)
        if certificate is not None and profile is None:
            raise UsageError("a certificate holds for the profile that it was made of: give that profile too")
        self.task = open_task(task)
        self._arbitration = arbitration_for(arbitration, self.task)
        self.profile = self._profile(profile, frames, threads)
        factor = slow_device.factor if slow_device else 1.0
        every = arms_for(self.profile, self.task, server, factor)
        self._stands_in = chosen.uses_reserve
        rules = governed(certificate, every, self.profile, self.task, factor, threads, chosen)
        self.table, self._certified = rules.table, rules.certificate is not None
        rest = (prices or Prices(), budgets or BudgetSettings(), rules.certificate, self._arbitration)
        header = Header(self.table, chosen.name, _seeded(limits or Limits()), rules.margins, *rest)
        self._core = header.core(chosen)
        self._safe_values: dict[str, object] = {}
        self._streams: dict[str, Stream] = {}
        self._journal = Journal(journal, header, bytes_max=journal_bytes_max) if journal else None
        self._driver = Driver(self._core, self.task, self._journal)
        self._chains: dict[str, Chain] = {}
        self._determinism = Applied((), [])
        self._vitals: VitalsWatch | None = None
        try:
            self._start(server, tls, slow_device, threads)
            self._determinism = apply(determinism or Determinism(), self._driver)
            for stream in rules.streams or (main,):
                self._open(stream, rules.safe_values.get(stream.name, safe_value))
            self._vitals = VitalsWatch(self._driver.post) if watch_vitals else None
        except BaseException:  # nothing of a session that never was stays behind
            self.close()
            raise

    def _profile(self, profile: Profile | str | Path | None, frames: Frames, threads: int) -> Profile:
        if profile is None:
            self._say("no profile given: making a quick one (seconds); `hedgerow profile` makes a better one")
            return make_profile(
                self.task, frames or quick_frames(self.task), quick=True, threads=threads, progress=self._say
            )
        loaded = profile if isinstance(profile, Profile) else Profile.load(profile)
        loaded.check(self.task)
        return loaded

    def _start(self, server: str | None, tls: TlsFiles | None, slow: SlowDevice | None, threads: int) -> None:
        self._chains = self.task.open_all(threads)
        self.output_names = tuple(spec.name for spec in self._chains[self.task.reference].outputs)
        kept, post, network = used_calibrations(self.table, self.profile), self._driver.post, None
        for chain in self._chains.values():
            chain.warm_up()
        if server is not None or self._certified:
            self._herald = Herald(server or "", self._say, stands_in=self._stands_in, governed=self._certified)
            self._driver.listen(self._herald)
        if server is not None and self._herald is not None:
            plain, address = server.startswith(PLAIN), address_of(server)
            see = Seer(self.task, known=not plain) if self._arbitration else blind
            network = CloudNetwork(address, self.task, self._chains, kept, post, tls=tls, plain=plain, see=see)
            network.on_problem = self._herald.problem
        stretch = (lambda median_ns: slow.extra_ns(round(median_ns / slow.factor))) if slow else None
        names = sorted({model.lane for model in self.table.locals})
        see = Seer(self.task) if self._arbitration else blind
        lanes = {name: Lane(name, self._chains, self.task, self.table, kept, post, stretch, see) for name in names}
        self._driver.attach(lanes, network)

    @property
    def mode(self) -> str:
        """The certificate's mode in force; empty without a certificate, or when even the last mode's was withdrawn."""
        return self._core.mode

    @property
    def governed(self) -> bool:
        """Whether it runs under a certificate, withdrawn or not; its streams' deadlines are then fixed. See `mode`."""
        return self._certified

    @property
    def deadlines_ms(self) -> dict[str, float]:
        """The deadline of each open stream, from capture."""
        return {name: stream.deadline_ns / MS for name, stream in self._streams.items()}

    # ---------------------------------------------------------------------------------------------------------- streams

    def open_stream(
        self,
        name: str,
        *,
        deadline_ms: float,
        criticality: str = "mission",
        safe_value: object = None,
        period_ms: float | None = None,
        expiry_ms: float = 60_000.0,
        reuse_below: float | None = None,
        reuse_age_max_ms: float | None = None,
    ) -> None:
        """Declare a stream of requests (or change it, "main" too); `submit(..., stream=name)` then belongs to it.

        `reuse_below` and `reuse_age_max_ms`, together, let the last answer stand while the scene is still, for so long at most
        (docs/reuse.md; `hedgerow adapt reuse` calibrates them).
        """
        reuse = (reuse_below, reuse_age_max_ms)
        self._open(checked_stream(name, deadline_ms, criticality, safe_value, period_ms, expiry_ms, reuse), safe_value)

    def _open(self, stream: Stream, safe_value: object) -> None:
        if stream.reuse_below is not None and self.task.model(self.task.reference).preparation is None:
            raise UsageError(
                f"task '{self.task.name}' takes tensors; only frames are compared, so leave reuse_below out"
            )
        self._driver.take(StreamOpened(stream))
        self._streams[stream.name], self._safe_values[stream.name] = stream, safe_value

    # ---------------------------------------------------------------------------------------------------------- answers

    def submit(
        self,
        sample: Sample,
        *,
        captured_at: float | None = None,
        stream: str | None = None,
        deadline_ms: float | None = None,
        on_advice: Callable[[Tensors], None] | None = None,
        track: int = 0,
        changed: bool = False,
    ) -> "Future[Answer]":
        """Admit one sample and return at once. `captured_at`: seconds of time.monotonic() (default: now); `stream`: "main"
        unless said, or the only one there is; `track` which of the things that it follows, `changed` that another thing than
        before is seen: nothing seen earlier then counts.

        UsageError for a wrong sample, stream or moment; then nothing was admitted. The future always gets an Answer.
        """
        thing = (track, changed)
        return self._admit(sample, captured_at, stream, deadline_ms, on_advice, thing, help_out=False)

    def answer(
        self,
        sample: Sample,
        *,
        captured_at: float | None = None,
        stream: str | None = None,
        deadline_ms: float | None = None,
        track: int = 0,
        changed: bool = False,
    ) -> Answer:
        """The answer to one sample; waits for it."""
        return self._admit(sample, captured_at, stream, deadline_ms, None, (track, changed), help_out=True).result()

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Array]) -> list[Array]:
        """For a model alone: the outputs asked for (None or none: all), as onnxruntime.InferenceSession.run gives them.

        UsageError for wrong names or feeds, EngineError if no way to an answer was left.
        """
        if len(self.task.models) > 1:
            raise UsageError(f"task '{self.task.name}' has several models with outputs of their own; use answer()")
        names = tuple(output_names or self.output_names)
        unknown = [name for name in names if name not in self.output_names]
        if unknown:
            raise UsageError(f"no output '{unknown[0]}'; there are: {', '.join(self.output_names)}")
        answer = self.answer(feeds)
        if answer.outputs:
            return answer.values(names)
        if answer.status is Status.SAFE_VALUE and isinstance(answer.safe_value, Mapping):
            return [answer.safe_value[name] for name in names]
        raise EngineError(f"no answer: {answer.status.value} ({answer.reason})")

    def _admit(
        self,
        sample: Sample,
        captured_at: float | None,
        stream: str | None,
        deadline_ms: float | None,
        on_advice: Callable[[Tensors], None] | None,
        thing: tuple[int, bool],
        *,
        help_out: bool,
    ) -> "Future[Answer]":
        if stream is None:
            stream = next(iter(self._streams)) if len(self._streams) == 1 else _MAIN
        if deadline_ms is not None and self._certified:
            raise UsageError("the deadlines of a certified session are the certificate's; leave deadline_ms out")
        if stream not in self._streams:
            raise UsageError(f"no stream '{stream}'; there are: {', '.join(self._streams)}")
        if captured_at is not None and not np.isfinite(captured_at):
            raise UsageError(f"captured_at must be seconds of time.monotonic(), not {captured_at}")
        captured_ns = time.monotonic_ns() if captured_at is None else round(captured_at * 1e9)
        if captured_ns > time.monotonic_ns() + MS:
            raise UsageError("captured_at is in the future; give seconds of time.monotonic()")
        if deadline_ms is not None:
            _check_ms("deadline_ms", deadline_ms)
        deadline_ns = None if deadline_ms is None else int(deadline_ms * MS)
        tensors = self.task.sample(sample)
        captured_ns = min(captured_ns, time.monotonic_ns())
        safe_value = self._safe_values[stream]
        times = (captured_ns, deadline_ns)
        return self._driver.submit(
            self._streams[stream],
            tensors,
            *times,
            safe_value,
            on_advice,
            help_out=help_out,
            track=thing[0],
            changed=thing[1],
        )

    @property
    def determinism(self) -> Applied:
        """What came of the determinism settings that were asked for."""
        return self._determinism

    def trust_again(self) -> None:
        """Believe the server again after an audit found its answers wrong (see docs/safety/cloud-audit.md)."""
        links = {arm.crossing.link for arm in self.table.arms if arm.crossing is not None}
        if not links:
            raise UsageError("this session has no server to trust; give one when it is opened")
        for link in sorted(links):
            self._driver.take(TrustRestored(link))

    @property
    def journal(self) -> Journal | None:
        """The journal that is kept, if one is: its header, and `failure` once it had to end."""
        return self._journal

    def listen(self, listener: Listener) -> None:
        """Be told of every step, for meters and views; called under the lock, so be quick."""
        self._driver.listen(listener)

    def close(self) -> None:
        """End everything; what is still open gets its answer as `dropped`."""
        if self._vitals is not None:
            self._vitals.close()
        self._determinism.close()  # before the network, whose last garbage must not be set aside any more
        self._driver.close()
        if self._herald is not None:
            self._herald.close()
        for chain in self._chains.values():
            chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _seeded(limits: Limits) -> Limits:
    """With a seed of its own unless one is given: two devices must not draw the same, and no cloud may know what is drawn."""
    return limits if limits.seed else replace(limits, seed=secrets.randbits(62) + 1)


def open_task(task: Task | str | Path) -> Task:
    """A task from itself, a task file (.toml) or a model file (a task of one)."""
    if isinstance(task, Task):
        return task
    return Task.load(task) if Path(task).suffix == ".toml" else Task.of_model(task)


def address_of(server: str) -> str:
    """The host:port in a server's name; UsageError unless it has both."""
    address = server.removeprefix(PLAIN)
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"the server is given as '{server}': give HOST:PORT with a port from 1 to 65535")
    return address


def arms_for(profile: Profile, task: Task, server: str | None, device_factor: float) -> ArmTable:
    """The arms that this session can use: without a server the local ones; on a plain Open Inference Protocol server whole
    models on raw tensors; else all that are worth keeping."""
    if server is not None and not server.startswith(PLAIN):
        return arm_table(profile, task, device_factor=device_factor)
    every = every_arm(profile, task, tiers=Tiers(device_factor))
    joint = -1 if task.model(task.reference).preparation is None else 0
    kept = []
    for arm in every.arms:
        crossings = [position for position, step in enumerate(arm.steps) if isinstance(step, CrossStep)]
        whole = all(arm.sends(at)[1] == joint and arm.crossing and arm.crossing.codec == "raw" for at in crossings)
        if not crossings or (server is not None and whole):
            kept.append(arm)
    return ArmTable(tuple(kept), every.locals, every.energy)


def used_calibrations(table: ArmTable, profile: Profile) -> dict[str, Calibration]:
    """The calibrations that the table's arms need, and no others: the server keeps only so many."""
    kept = calibrations(profile)
    used = {
        crossing_key(*arm.sends(position), step.codec)
        for arm in table.arms
        for position, step in enumerate(arm.steps)
        if isinstance(step, CrossStep)
    }
    return {key: kept[key] for key in sorted(used & kept.keys())}


def checked_stream(
    name: str,
    deadline_ms: float,
    criticality: str,
    safe_value: object,
    period_ms: float | None,
    expiry_ms: float = 60_000.0,
    reuse: tuple[float | None, float | None] = (None, None),
) -> Stream:
    """A stream of these settings; `reuse` is its threshold and age in ms. UsageError for one that cannot be."""
    _check_ms("deadline_ms", deadline_ms)
    _check_ms("expiry_ms", expiry_ms)
    if period_ms is not None:
        _check_ms("period_ms", period_ms)
    if criticality not in list(Criticality):
        raise UsageError(f"criticality must be one of {', '.join(Criticality)}, not '{criticality}'")
    period_ns = None if period_ms is None else int(period_ms * MS)
    kind, stands_in = Criticality(criticality), safe_value is not None
    below, age_max_ms = reuse
    if (below is None) != (age_max_ms is None):
        raise UsageError("reuse_below and reuse_age_max_ms go together: how much may differ, and for how long")
    if below is not None and not (np.isfinite(below) and below >= 0):
        raise UsageError(f"reuse_below must be a number from 0 on, not {below}")
    if age_max_ms is not None:
        _check_ms("reuse_age_max_ms", age_max_ms)
    again = (below, int((age_max_ms or 0) * MS))
    return Stream(name, int(deadline_ms * MS), kind, period_ns, stands_in, int(expiry_ms * MS), 0, *again)


def _check_ms(what: str, value: float) -> None:
    if not (np.isfinite(value) and int(value * MS) > 0):
        raise UsageError(f"{what} must be a positive number of milliseconds, not {value}")
