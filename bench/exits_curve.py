"""Speedup of early exits on CIFAR-10 for several disagreements asked for: `python bench/exits_curve.py --data DIR -o exits.png`.

Needs what `make adapt` made. The dealing among the exits is the frozen one; for each disagreement its path is calibrated on
the test pictures that calibrate and timed and judged on those that judge, single pictures on one thread, by turns.
"""

import argparse
from pathlib import Path

import numpy as np

from hedgerow.adaptation.exits.cifar import LEVEL, NAME, calibrating, prepared
from hedgerow.adaptation.exits.running import WithExits, speedup
from hedgerow.adaptation.exits.settling import Promise, calibrate, stop_shares
from hedgerow.adaptation.keeping import adapted, read_record
from hedgerow.adaptation.sources import cifar10
from hedgerow.models.task import Task
from hedgerow.views.exits import ExitPoint, draw_exits

ASKED = (0.0035, 0.005, 0.0075, 0.01, 0.015, 0.02)


def main() -> None:
    """Print a line for each, draw them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--timed", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path, default=Path("exits.png"))
    given = parser.parse_args()
    folder = adapted("cifar10")
    task = Task.load(folder / "task.toml")
    figures = read_record(folder / f"{NAME}.adapt.json")["figures"]
    exits = [task.model(name) for name in figures["exits"]]
    path = np.array(figures["path"])
    test = cifar10(given.data, "test")
    inputs = prepared(test)
    here, there = calibrating(test)
    timed = np.random.default_rng(0).permutation(there)[: given.timed]
    points = []
    with WithExits(task.model(NAME).path, [each.path for each in exits], [each.after for each in exits]) as model:
        answers = model.answers(inputs)
        judging = answers.of(there)
        for asked in ASKED:
            found, _ = calibrate(answers.of(here), range(len(exits)), path, Promise(asked, LEVEL, len(there)))
            gates = path[found.row]
            gain, _, _ = speedup(model, [inputs[index] for index in timed], gates.tolist())
            got = float((judging.given(gates) != judging.whole).mean())
            points.append(ExitPoint(asked, got, gain, tuple(stop_shares(judging, gates))))
            print(f"asked {asked:.4f}: got {got:.4f}, {gain:.2f} times as fast, shares {points[-1].shares}", flush=True)
    draw_exits(
        points,
        figures["exits"],
        f"Early exits on CIFAR-10, {len(there)} pictures that calibrated nothing",
        given.output,
    )


if __name__ == "__main__":
    main()
