"""Random stream sets to try the proof on: as inputs of a certificate, with made-up measurements whose bounds are known.

Large sets look like vehicles: one to six streams, periods log-uniform from 10 ms to 1 s, utilisations by UUniFast (Bini and Buttazzo 2005),
models of several segments, jitter, arms that hold the lane, sometimes two lanes or a second mode. Small ones have
periods of a few ticks, so that every release phase can be tried.
"""

import math
from dataclasses import dataclass
from random import Random

from hedgerow.assurance.certification import document as d

MS = 1_000_000
TICK_NS = 66_000  # a multiple of 6 and of 11: a bound of whole ticks is met exactly by every rule for bounds
_DELIVER_NS = 2 * MS


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment's bound, and that of everything from it on."""

    alone_ns: int
    tail_ns: int


def inputs_for(streams: str, models: tuple[d.ModelInput, ...], arms: tuple[d.ArmInput, ...], timer_ns: int) -> d.Inputs:
    """A made-up profile of these models and arms."""
    return d.Inputs(
        made="2000-01-01T00:00:00+00:00",
        hedgerow="0",
        streams=streams,
        profile=d.ProfileInput("0" * 64, "2000-01-01T00:00:00+00:00", "0" * 64, "random", "made up", False),
        timer=measured(timer_ns, 1000),
        cancel=measured(MS, 1000),
        deliver=measured(2 * MS, 1000),
        models=models,
        arms=arms,
    )


def measured(bound_ns: int, samples: int) -> d.Measured:
    """A measurement whose bound is `bound_ns` (exactly if it is a multiple of 66)."""
    share = 1.1 if samples >= 1000 else 1.2 if samples >= 100 else 1.5
    largest = round(bound_ns / share)
    return d.Measured(samples, largest // 2, largest, largest)


def model_of(name: str, lane: str, segments: list[Segment], samples: int) -> d.ModelInput:
    """A model with these bounds."""
    parts = (
        d.SegmentInput(str(number), measured(each.alone_ns, samples), measured(each.tail_ns, samples))
        for number, each in enumerate(segments)
    )
    return d.ModelInput(name, lane, tuple(parts))


def _ms(value_ns: int) -> str:
    return f"{value_ns / MS:.6f}"


def stream_text(name: str, period_ns: int, deadline_ns: int, reserves: list[str], more: str = "") -> str:
    """One [[stream]] of a streams file."""
    names = ", ".join(f'"{each}"' for each in reserves)
    head = f'[[stream]]\nname = "{name}"\nperiod_ms = {_ms(period_ns)}\ndeadline_ms = {_ms(deadline_ns)}\n'
    return f"{head}reserves = [{names}]\n{more}"


def _shares(random: Random, count: int, total: float) -> list[float]:
    """UUniFast: `count` utilisations that add up to `total`, uniform among all such."""
    shares, left = [], total
    for more in range(count - 1, 0, -1):
        following = left * random.random() ** (1 / more)
        shares.append(left - following)
        left = following
    return [*shares, left]


def _cut(random: Random, total: int, pieces: int) -> list[int]:
    """`total` in that many random pieces, none empty."""
    places = sorted(random.sample(range(1, total), min(pieces, total) - 1)) if total > 1 else []
    return [after - before for before, after in zip([0, *places], [*places, total], strict=True)]


def large_set(random: Random) -> d.Inputs:
    """One set of one to six streams."""
    count, lanes = random.randint(1, 6), random.choice((1, 1, 1, 1, 2))
    shares = _shares(random, count, random.uniform(0.1, 0.95) * lanes)
    texts, models, arms = ["format = 1\n"], [], []
    placed: dict[str, list[str]] = {f"lane{number}": [] for number in range(lanes)}
    for number, share in enumerate(shares):
        period = int(math.exp(random.uniform(math.log(10 * MS), math.log(1000 * MS))))
        cost = max(1000, int(min(share, 0.9) * period))
        name, lane = f"m{number}", random.choice(list(placed))
        models.append(model_of(name, lane, _segments(random, cost), random.choice((30, 300, 3000))))
        arms += _arms(random, name, lane, len(models[-1].segments), cost)
        reserves = [name, *(each for each in placed[lane] if random.random() < 0.2)]
        placed[lane].append(name)
        texts.append(_stream(random, number, period, cost, reserves))
    if random.random() < 0.3:
        texts.append('[[stream]]\nname = "log"\nperiod_ms = 50\ndeadline_ms = 1000\ncriticality = "background"\n')
    if random.random() < 0.3:
        changed = random.randrange(count)
        texts.append(f'[[mode]]\nname = "all"\n[[mode]]\nname = "less"\nstreams.s{changed} = {{ keep_every = 2 }}\n')
    return inputs_for("".join(texts), tuple(models), tuple(arms), random.choice((MS // 10, MS // 2, 2 * MS)))


def _stream(random: Random, number: int, period: int, cost: int, reserves: list[str]) -> str:
    jitter = int(random.uniform(0, 0.3) * period) if random.random() < 0.4 else 0
    delay = random.choice((0, 0, random.randrange(5 * MS)))
    within = int(random.uniform(min(1.3 * cost, period), 1.3 * period))
    deadline = within + jitter + delay + _DELIVER_NS + MS
    more = f"capture_delay_ms = {_ms(delay)}\njitter_ms = {_ms(jitter)}\n"
    more += f'criticality = "{random.choice(("safety", "mission"))}"\n'
    if random.random() < 0.2:
        more += "safe_value = 0\n"
    return stream_text(f"s{number}", period, deadline, reserves, more)


def _segments(random: Random, cost: int) -> list[Segment]:
    pieces = _cut(random, cost, random.randint(2, 8))
    tails = [sum(pieces[at:]) for at in range(len(pieces))]
    return [
        Segment(min(int(piece * random.uniform(1, 1.4)), tail), tail) for piece, tail in zip(pieces, tails, strict=True)
    ]


def _arms(random: Random, model: str, lane: str, segments: int, cost: int) -> list[d.ArmInput]:
    encode = measured(int(random.uniform(0.01, 0.3) * cost), 300)
    found = [
        d.ArmInput(f"local:{model}", lane, model, segments - 1, None),
        d.ArmInput(f"cloud:{model}:jpeg", lane, model, -1, encode),
    ]
    if segments > 2:
        found.append(d.ArmInput(f"split:{model}", lane, model, random.randrange(segments - 1), encode))
    return found


@dataclass(frozen=True, slots=True)
class SmallSet:
    """A set in whole ticks: of each stream its period, deadline and segments; what optional work there is holds the lane so long."""

    streams: tuple[tuple[int, int, tuple[int, ...]], ...]
    optional: int

    def inputs(self) -> d.Inputs:
        """The same as inputs of a certificate, with no lateness of timers."""
        texts, models = ["format = 1\n"], []
        for number, (period, deadline, segments) in enumerate(self.streams):
            ns = [each * TICK_NS for each in segments]
            parts = [Segment(each, sum(ns[at:])) for at, each in enumerate(ns)]
            models.append(model_of(f"m{number}", "cpu", parts, (30, 300, 3000)[number]))
            within = deadline * TICK_NS + _DELIVER_NS
            texts.append(stream_text(f"s{number}", period * TICK_NS, within, [f"m{number}"]))
        arms = (d.ArmInput("cloud", "cpu", "m0", -1, measured(self.optional * TICK_NS, 1000)),) if self.optional else ()
        return inputs_for("".join(texts), tuple(models), arms, 0)


def small_set(random: Random) -> SmallSet:
    """One to three streams of at most 8 ticks, of which every release phase can be tried."""
    streams = []
    count = random.choice((1, 2, 2, 2, 3, 3))
    for share in _shares(random, count, random.uniform(0.3, 1.0)):
        period = random.randint(2, 8)
        cost = max(1, round(share * period))
        segments = _cut(random, cost, random.randint(1, 3))
        streams.append((period, random.randint(cost, max(cost, period + 2)), tuple(segments)))
    return SmallSet(tuple(streams), random.choice((0, 0, 0, 1, 2)))
