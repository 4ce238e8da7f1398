"""Tries the proof: random stream sets, adversaries within their bounds, brute force on small sets, false certificates.

Of N sets one in four is small. Each large set that is certified is acted out on a lane for each kind of pattern, and by the real
core for one of them in turn; where it has several modes between which every change is proven, once more for each kind while heat
comes and goes, about when samples come; its certificate is checked, and once more with one claim falsified. A set is a function of the seed and its
number alone, so one that fails can be repeated: `hedgerow certify --selftest N --seed S` names it.
"""

import multiprocessing
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from random import Random

from hedgerow.assurance.certification import checker
from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification.brute_force import LaneJob, lateness, misses, play_lane
from hedgerow.assurance.certification.certificate_file import CertificateFile
from hedgerow.assurance.certification.mutations import falsified
from hedgerow.assurance.certification.patterns import KINDS, releases
from hedgerow.assurance.certification.proving import Problem, prove
from hedgerow.assurance.certification.random_sets import TICK_NS, large_set, small_set
from hedgerow.assurance.certification.runner import Mood, Release, play_core, table_of, worst_segments
from hedgerow.core.certificate import Certificate
from hedgerow.core.records import CertificateWithdrawn, ModeChanged

LANE_REQUESTS = 120
CORE_REQUESTS = 24
HEATS = 6
HOT_CELSIUS, COOL_CELSIUS = 90.0, 60.0
_CHUNK = 100
FAULTS_NAMED_MAX = 20


@dataclass
class Counts:
    """What was found; all are counts. `late_in_certified` counts requests, of which there should be none; `faults` names the sets."""

    sets: int = 0
    certified: int = 0
    late_in_certified: int = 0
    feasible_by_brute_force: int = 0
    accepted_of_feasible: int = 0
    mutated_rejected: int = 0
    mutated: int = 0
    checker_refused: int = 0
    small_sets: int = 0
    lane_requests: int = 0
    core_requests: int = 0
    core_answered_remotely: int = 0
    mode_changes: int = 0
    kinds_mutated: int = 0
    faults: list[str] = field(default_factory=list)
    _kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Counts") -> None:
        """Take in what another part found."""
        for name, value in vars(other).items():
            if isinstance(value, int):
                setattr(self, name, getattr(self, name) + value)
        self.faults = (self.faults + other.faults)[:FAULTS_NAMED_MAX]
        self._kinds.update(other._kinds)
        self.kinds_mutated = len(self._kinds)

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong."""
        rejected = self.mutated_rejected == self.mutated
        accepted = 10 * self.accepted_of_feasible >= 9 * self.feasible_by_brute_force
        return rejected and accepted and not (self.late_in_certified or self.checker_refused)

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, int)}


def selftest(sets: int, *, seed: int = 0, processes: int = 1) -> Counts:
    """Try that many sets. Takes about 20 ms a set and process."""
    total = Counts()
    chunks = [(seed, first, min(first + _CHUNK, sets)) for first in range(0, sets, _CHUNK)]
    if processes <= 1 or len(chunks) <= 2:
        for chunk in chunks:
            total.add(_chunk(chunk))
        return total
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(_chunk, chunks):
            total.add(found)
    return total


def _chunk(part: tuple[int, int, int]) -> Counts:
    seed, first, end = part
    total = Counts()
    for number in range(first, end):
        try_one(seed, number, total)
    return total


def try_one(seed: int, number: int, counts: Counts) -> None:
    """One set, by its number."""
    random = Random(f"{seed}:{number}")
    counts.sets += 1
    if number % 4 == 3:
        _small(random, f"{seed}:{number}", counts)
    else:
        _large(random, number, f"{seed}:{number}", counts)


def _small(random: Random, name: str, counts: Counts) -> None:
    """Accepted, with all its optional work, although some phase is late: a proof of what is not so, counted as late."""
    found = small_set(random)
    late, proof = misses(found), prove(found.inputs())
    accepted = proof.document is not None and proof.document.modes[0].lanes[0].blocking_ns >= found.optional * TICK_NS
    counts.small_sets += 1
    counts.certified += proof.document is not None
    counts.feasible_by_brute_force += not late
    counts.accepted_of_feasible += accepted and not late
    if accepted and late:
        counts.late_in_certified += 1
        counts.faults.append(f"{name}: brute force is late, {found}")
    if proof.document is not None:
        _claims(proof.document, random, name, counts)


def _large(random: Random, number: int, name: str, counts: Counts) -> None:
    proof = prove(large_set(random))
    if proof.document is None:
        return
    counts.certified += 1
    _claims(proof.document, random, name, counts)
    for kind in KINDS:
        found = releases(proof.problem.declared, kind, random, requests_max=LANE_REQUESTS)
        late = _on_lanes(proof.problem, proof.document, found, random, counts)
        _note(late, f"{name}: late on its lane, {kind}", counts)
    kind = KINDS[number // 4 % len(KINDS)]
    found = releases(proof.problem.declared, kind, random, requests_max=CORE_REQUESTS)
    link = random.choice(("dead", "silent", "dies", "any"))
    mood = Mood(random.random() < 0.7, link, random.randrange(10**9), random.randrange(10**9))
    governing = CertificateFile(name, proof.document, proof.problem.declared).governing()
    ended, _ = play_core(proof.problem, governing, found, mood)
    counts.core_requests += len(ended)
    counts.core_answered_remotely += sum(each.source.value == "remote" for each in ended)
    _note(sum(each.late for each in ended), f"{name}: late in the core, {kind}, {mood}", counts)
    if proof.document.changes and all(each.proven for each in proof.document.changes):
        _across_changes(proof.problem, governing, Random(f"{name}:changes"), name, counts)


def _across_changes(problem: Problem, governing: Certificate, random: Random, name: str, counts: Counts) -> None:
    """Each kind of pattern in the real core, while heat comes and goes; what is cool is taken back to its mode at once."""
    rule = replace(governing.rule, return_after_ns=1, return_after_max_ns=1)
    governing = replace(governing, rule=replace(rule, hot_celsius=HOT_CELSIUS, cool_celsius=COOL_CELSIUS))
    for kind in KINDS:
        found = releases(problem.declared, kind, random, requests_max=CORE_REQUESTS)
        mood = Mood(random.random() < 0.7, random.choice(("dead", "silent", "any")), 0, random.randrange(10**9))
        heat = _heat(problem, found, random)
        ended, world = play_core(problem, governing, found, mood, heat=heat)
        counts.core_requests += len(ended)
        counts.core_answered_remotely += sum(each.source.value == "remote" for each in ended)
        counts.mode_changes += sum(isinstance(each, ModeChanged) for each in world.records)
        late = sum(each.late for each in ended)
        late += not late and any(isinstance(each, CertificateWithdrawn) for each in world.records)
        _note(late, f"{name}: late across a change of modes, {kind}, {mood}, {heat}", counts)


def _heat(problem: Problem, found: list[Release], random: Random) -> list[tuple[int, float]]:
    """Moments at which it becomes hot, cool, hot, and so on: at arrivals, shortly before or after them, or any."""
    blocking = max((each.hold_ns for each in problem.holds), default=0) + problem.margins.timer_ns + 1
    first, last = found[0].arrived_ns, found[-1].arrived_ns
    moments = []
    for _ in range(HEATS):
        near = random.choice(found).arrived_ns + random.choice((0, 1, random.randint(-blocking, blocking)))
        moments.append(random.choice((near, random.randint(first, last + 1))))
    return [(moment, (HOT_CELSIUS, COOL_CELSIUS)[place % 2]) for place, moment in enumerate(sorted(moments))]


def _note(late: int, what: str, counts: Counts) -> None:
    counts.late_in_certified += late
    if late:
        counts.faults.append(what)


def _claims(document: d.Document, random: Random, name: str, counts: Counts) -> None:
    """The certificate is accepted, a false one is not."""
    wrong = checker.check(document)
    counts.checker_refused += bool(wrong)
    kind, false = falsified(document, random)
    rejected = bool(checker.check(false))
    counts.mutated += 1
    counts.mutated_rejected += rejected
    counts._kinds[kind] += 1
    if wrong or not rejected:
        counts.faults.append(f"{name}: refused for {wrong[0]}" if wrong else f"{name}: accepted with false {kind}")


def _on_lanes(problem: Problem, document: d.Document, found: Iterable[Release], random: Random, counts: Counts) -> int:
    """Late requests when every lane works off its cheapest reserves, with the certified hold just before the first."""
    table, declared = table_of(problem), {each.name: each for each in problem.declared.streams}
    found, late = list(found), 0
    for lane in document.modes[0].lanes:
        reserves = {each.stream: table.local(each.reserve) for each in lane.streams}
        mine = [each for each in found if each.stream in reserves]
        if not mine:
            continue
        origin = mine[0].arrived_ns
        jobs = []
        for each in mine:
            due = (
                each.captured_ns
                + declared[each.stream].deadline_ns
                - problem.margins.deliver_ns
                - problem.margins.timer_ns
            )
            model = reserves[each.stream]
            boosted = random.choice((None, random.randint(0, model.last)))
            jobs.append(
                LaneJob(each.stream, each.arrived_ns - origin, due - origin, tuple(worst_segments(model, boosted)))
            )
        held = lane.blocking_ns + problem.margins.timer_ns
        late += sum(each > 0 for each in lateness(jobs, play_lane(jobs, held)))
        counts.lane_requests += len(jobs)
    return late
