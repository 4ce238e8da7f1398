"""What an answer is worth under an arm with gates: the samples on its side of them, which together make the arm's own quality."""

import numpy as np
import pytest

from hedgerow.core import Arm, ArmTable, CrossStep, GateStep, RunStep
from hedgerow.planning.composing import crossing_part, shrunk
from hedgerow.simulation.answering import Answering, gates, side
from tests.core.world import MS, local_model

SMALL, BIG = local_model("small", (1.0, 9.0), 0.7), local_model("big", (2.0, 60.0), 1.0)
HERE, CROSS = RunStep("device", "small", 0, 1, 10 * MS), CrossStep("cloud", "jpeg:75", 9000, MS, 2 * MS)
THERE = RunStep("cloud", "big", 0, 1, 8 * MS)
BITS = {"local:small": "1101001011", "cloud:big:jpeg:75": "1111110111", "local:big": "1111111111"}
SURE = {"small": (0.9, 0.8, 0.3, 0.95, 0.2, 0.1, 0.7, None, 0.85, 0.6)}


def table(quality: float) -> ArmTable:
    arms = (
        Arm("local:small", (HERE,), 0.7),
        Arm("cloud:big:jpeg:75", (CROSS, THERE), 0.97),
        Arm("cascade:small>cloud:big:jpeg:75", (HERE, GateStep(0.75, 0.4), CROSS, THERE), quality),
    )
    return ArmTable(arms, (SMALL, BIG))


def test_an_arm_names_the_answer_that_comes_from_afar_and_its_gates() -> None:
    plain, _, cascade = table(0.9).arms
    assert crossing_part(cascade.name) == "cloud:big:jpeg:75"
    assert crossing_part(plain.name) == ""
    assert gates(cascade) == (("small", 0.75),)
    assert [side(gates(cascade), SURE, sample) for sample in range(10)] == [0, 0, 1, 0, 1, 1, 1, 1, 0, 1]


def test_the_sides_together_are_the_quality_of_the_whole() -> None:
    """By hand: what stands at the gate agrees as the small model does, the rest as the cloud does; one pseudo-sample, as ever."""
    stops = np.array([each is not None and each >= 0.75 for each in SURE["small"]])
    small, cloud = (np.array([bit == "1" for bit in BITS[name]]) for name in ("local:small", "cloud:big:jpeg:75"))
    whole = shrunk(int(np.where(stops, small, cloud).sum()), 10)
    found = Answering(table(whole), BITS, SURE)
    parts = [found.local_quality(2, "small", n) if stop else found.remote_quality(2, n) for n, stop in enumerate(stops)]
    assert np.mean(parts) == pytest.approx(whole)
    unsure = [found.local_quality(2, "small", n) for n in range(10) if not stops[n]]
    assert len(set(unsure)) == 1
    assert unsure[0] == pytest.approx((2 + 0.5 * 0.6) / (6 + 0.6))  # two of the six agree
    assert min(parts[n] for n in np.flatnonzero(stops)) > 0.7 > unsure[0]


def test_without_a_gate_or_without_samples_the_tables_own_figures_stand() -> None:
    found = Answering(table(0.9), BITS, SURE)
    assert found.remote_quality(1, 3) == 0.97
    assert found.local_quality(0, "small", 3) == found.local_quality(-1, "small", 3) == 0.7
    assert found.local_quality(2, "big", 3) == 1.0  # the reference, and nothing is lost
    bare = Answering(table(0.9), {}, {})
    assert bare.remote_quality(2, 3) == 0.9
    assert bare.local_quality(2, "small", 3) == 0.7
    assert not bare.local_agrees("small", 3)


def test_whether_it_agrees_is_the_bit_of_whoever_answered() -> None:
    found = Answering(table(0.9), BITS, SURE)
    assert [found.local_agrees("small", n) for n in range(10)] == [bit == "1" for bit in BITS["local:small"]]
    assert [found.remote_agrees(2, n) for n in range(10)] == [bit == "1" for bit in BITS["cloud:big:jpeg:75"]]
    assert found.local_agrees("big", 13)
