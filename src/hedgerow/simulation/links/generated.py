"""Draws courses from a link model: the same model, seed and name give the same course, and a longer one begins with the shorter.

Each part of the model has a random stream of its own and takes the same number of draws for every step, so that no part's
figures change another's draws. The chain starts in its long-run distribution: there is nothing to warm up.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.emulation.conditions import BYTES_PER_S_PER_MBPS, MBPS_MAX, RTT_MS_MAX
from hedgerow.emulation.traces import BLACKOUT_S
from hedgerow.errors import UsageError
from hedgerow.simulation.course import END_NS_MAX, NS_PER_MS, NS_PER_S, ROWS_MAX, AtEnd, Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.links.model import Blackouts, Delay, Gaps, LinkModel, Loss, Rates
from hedgerow.simulation.links.scores import probabilities, score

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_SECONDS_AN_HOUR: Final = 3600.0
_FELT: Final = 1e-3
"""A gap is forgotten when so little is left of the logarithm by which it raised the round trip."""


def draw_course(model: LinkModel, draws: Draws, duration_s: float, *, at_end: AtEnd = "loop") -> Course:
    """A course of `duration_s` seconds, one row a step. UsageError for a duration that no course can have.

    Where probes are lost the round trip is the last known one, as in a recorded course.
    """
    if not (math.isfinite(duration_s) and 0 < duration_s * NS_PER_S <= END_NS_MAX):
        raise UsageError(
            f"a generated link of {duration_s:g} s: give more than 0 and at most {END_NS_MAX / NS_PER_S:g}"
        )
    rows = max(1, math.ceil(duration_s / model.step_s - 1e-9))
    if rows > ROWS_MAX:
        raise UsageError(f"{duration_s:g} s in steps of {model.step_s:g} s are {rows} rows: at most {ROWS_MAX}")
    up_mbps, down_mbps = draw_rates(model.rates, draws, rows)
    lost = draw_loss(model.loss, draws, rows) | draw_blackouts(model.blackouts, draws, rows, model.step_s)
    gone, raised = draw_gaps(model.gaps, draws, rows, model.step_s)
    lost |= gone
    round_trip_ms = np.minimum(draw_delay(model.delay, draws, rows) * raised, RTT_MS_MAX)
    return Course(
        name=model.name,
        radio=model.radio,
        starts_ns=np.round(np.arange(rows) * (model.step_s * NS_PER_S)).astype(np.int64),
        end_ns=round(max(duration_s, (rows - 1 + 1e-3) * model.step_s) * NS_PER_S),
        round_trip_ns=last_known(round_trip_ms, lost) * NS_PER_MS,
        up_bytes_per_s=up_mbps * BYTES_PER_S_PER_MBPS,
        down_bytes_per_s=down_mbps * BYTES_PER_S_PER_MBPS,
        frozen=lost,
        at_end=at_end,
    )


def stationary(transitions: Floats) -> Floats:
    """(states,) the chain's long-run distribution, by the method of Grassmann, Taksar and Heyman (1985), which subtracts nothing.

    For a chain that falls apart the part of state 0 counts.
    """
    work = np.array(transitions, np.float64)
    work /= work.sum(axis=1, keepdims=True)
    last = len(work) - 1
    for state in range(last, 0, -1):
        leaves = work[state, :state].sum()
        if leaves > 0:
            work[:state, state] /= leaves
            work[:state, :state] += np.outer(work[:state, state], work[state, :state])
    found = np.zeros(last + 1)
    found[0] = 1.0
    for state in range(1, last + 1):
        found[state] = found[:state] @ work[:state, state] if work[state, :state].sum() > 0 else 0.0
    return np.asarray(found / found.sum())


def draw_states(rates: Rates, draws: Draws, rows: int) -> NDArray[np.int64]:
    """(rows,) the chain's states."""
    transitions = np.array(rates.transitions)
    last = len(transitions) - 1
    chances = draws.generator("rates/state").random(rows)
    state = min(last, int(np.searchsorted(np.cumsum(stationary(transitions)), chances[0], side="right")))
    steps = [np.cumsum(row / row.sum()).tolist() for row in transitions]
    states = [state]
    for chance in chances[1:].tolist():
        edges = steps[state]
        if last and not (edges[state - 1] if state else 0.0) <= chance < edges[state]:
            state = min(last, int(np.searchsorted(edges, chance, side="right")))
        states.append(state)
    return np.array(states, np.int64)


def draw_rates(rates: Rates, draws: Draws, rows: int) -> tuple[Floats, Floats]:
    """(rows,) uplink and (rows,) downlink in Mbit/s. Both follow the same state and the same score."""
    states = draw_states(rates, draws, rows)
    shares = probabilities(_scores(draws, "rates", rates, rows))
    up = _of_states(rates, rates.up_mbps, states, shares)
    down = _of_states(rates, rates.down_mbps, states, shares) if rates.down_mbps else up * rates.down_over_up
    return up, np.minimum(down, MBPS_MAX)


def _of_states(rates: Rates, table: tuple[tuple[float, ...], ...], states: NDArray[np.int64], shares: Floats) -> Floats:
    """No rate in the lowest shares of a state that has such; above, straight lines in the logarithm between its points."""
    found = np.empty(len(states))
    for state, row in enumerate(table):
        mine = states == state
        none = rates.none[state] if rates.none else 0.0
        left = (shares[mine] - none) / max(1e-12, 1 - none)
        found[mine] = np.where(shares[mine] < none, 0.0, np.exp(np.interp(left, rates.points, np.log(row))))
    return found


def draw_delay(delay: Delay, draws: Draws, rows: int) -> Floats:
    """(rows,) round trips in ms, before any gap raises them."""
    return delay_at(delay, _scores(draws, "delay", delay, rows))


def delay_at(delay: Delay, scores: Floats) -> Floats:
    """Round trips in ms at normal scores: straight lines in (score, logarithm), then the Pareto tail."""
    known = np.array([score(probability) for probability, _ in delay.points])
    logs = np.interp(scores, known, np.log([value_ms for _, value_ms in delay.points]))
    if delay.tail_index > 0:
        beyond = scores > known[-1]
        left = np.maximum(1 - probabilities(scores[beyond]), 1e-15)
        logs[beyond] += np.log((1 - delay.points[-1][0]) / left) / delay.tail_index
    return np.minimum(np.exp(logs), delay.longest_ms)


def _scores(draws: Draws, name: str, part: Rates | Delay, rows: int) -> Floats:
    """(rows,) standard normal scores: a slow AR(1) and a fast one, by their shares of the variance."""
    slow = _wandering(draws, f"{name}/slow", part.slow_memory, rows)
    fast = _wandering(draws, f"{name}/fast", part.fast_memory, rows)
    return np.asarray(math.sqrt(part.slow_share) * slow + math.sqrt(1 - part.slow_share) * fast)


def _wandering(draws: Draws, name: str, memory: float, rows: int) -> Floats:
    """(rows,) standard normal scores of an AR(1): each is `memory` times the one before, plus news."""
    news = draws.generator(name).standard_normal(rows)
    if memory == 0:
        return news
    fresh, now = math.sqrt(1 - memory * memory), 0.0
    found = news.tolist()
    now = found[0]
    for place in range(1, rows):
        found[place] = now = memory * now + fresh * found[place]
    return np.array(found)


def draw_loss(loss: Loss, draws: Draws, rows: int) -> Flags:
    """(rows,) whether a probe is lost, by the two states of Gilbert and Elliott, begun in their long-run share."""
    chances = draws.generator("loss").random(rows).tolist()
    bad = chances[0] < loss.share
    found = [bad]
    for chance in chances[1:]:
        bad = chance >= loss.end if bad else chance < loss.begin
        found.append(bad)
    return np.array(found)


def draw_gaps(gaps: Gaps, draws: Draws, rows: int, step_s: float) -> tuple[Flags, Floats]:
    """(rows,) whether a handover loses the probe, and (rows,) by what factor the round trip is longer after one."""
    begins = draws.generator("gaps/begin").random(rows) < gaps.per_hour * step_s / _SECONDS_AN_HOUR
    longest = gap_rows_max(step_s)
    lengths = draws.generator("gaps/length").random(rows)
    lost, raised, free = np.zeros(rows, np.bool_), np.zeros(rows), -1
    ends = _ends(gaps.mean_s / step_s, longest)
    felt = 1 + math.ceil(math.log(_FELT) / math.log(gaps.memory)) if gaps.memory > 0 else 1
    for begin in np.flatnonzero(begins).tolist():
        if begin <= free:  # a probe at least comes back between two
            continue
        free = begin + min(longest, 1 + int(math.log(1 - lengths[begin]) / math.log(1 - ends) if ends < 1 else 0))
        lost[begin:free] = True
        until = min(rows, free + felt)
        after = math.log(gaps.raised) * gaps.memory ** np.arange(max(0, until - free))
        raised[free:until] = np.maximum(raised[free:until], after)
    return lost, np.exp(raised)


def gap_rows_max(step_s: float) -> int:
    """How many lost probes in a row are still less than a blackout, at least 1."""
    return max(1, math.ceil(BLACKOUT_S / step_s - 1e-9) - 1)


def _ends(mean_rows: float, longest: int) -> float:
    """The chance a step to end that gives a geometric length, cut at `longest`, this mean; by bisection."""
    low, high = 1e-6, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = (1 - (1 - middle) ** longest) / middle  # of the cut geometric
        low, high = (middle, high) if mean > mean_rows else (low, middle)
    return high


def draw_blackouts(blackouts: Blackouts, draws: Draws, rows: int, step_s: float) -> Flags:
    """(rows,) whether the link is in a tunnel."""
    begins = draws.generator("blackouts/begin").random(rows) < blackouts.per_hour * step_s / _SECONDS_AN_HOUR
    lengths = draws.generator("blackouts/length").random(rows)
    lost, free = np.zeros(rows, np.bool_), -1
    for begin in np.flatnonzero(begins).tolist():
        if begin <= free:  # a probe at least comes back between two
            continue
        length_s = BLACKOUT_S - math.log(1 - lengths[begin]) * (blackouts.mean_s - BLACKOUT_S)
        free = begin + max(1, math.ceil(length_s / step_s - 1e-9))
        lost[begin:free] = True
    return lost


def last_known(values: Floats, lost: Flags) -> Floats:
    """Each value, or where it is lost the last one that was not; before the first the value itself stays."""
    place = np.where(lost, -1, np.arange(len(values)))
    place = np.maximum.accumulate(place)
    return np.where(place >= 0, values[np.maximum(place, 0)], values)


def to_csv(course: Course) -> str:
    """The course's rows in the form of a recorded trace, which the emulated link can play; lost probes have no round trip.

    An unlimited rate is written as the largest there is.
    """
    radio = " ".join(course.radio.replace(",", ";").replace('"', "'").split())
    lines = ["time_s,rtt_ms,uplink_mbps,radio,downlink_mbps"]
    for row in range(course.rows):
        rtt = "" if course.frozen[row] else f"{course.round_trip_ns[row] / NS_PER_MS:.6g}"
        up, down = (
            f"{min(each[row] / BYTES_PER_S_PER_MBPS, MBPS_MAX):.6g}"
            for each in (course.up_bytes_per_s, course.down_bytes_per_s)
        )
        lines.append(f"{course.starts_ns[row] / NS_PER_S:.10g},{rtt},{up},{radio},{down}")
    return "\n".join(lines) + "\n"
