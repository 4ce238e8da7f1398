"""Text exits by rule and threshold, in the shape of DeeBERT's tables: layers that ran, speed, accuracy, disagreement.

    hedgerow adapt exits-text && python bench/text_exits.py [--texts 100]

Shares and layers are of the half of the unseen newsgroups that judges; the speed is measured here, one text at a time on one
thread, by turns with the whole model, on `--texts` of them. The rows marked * keep the promise that was asked for: their
thresholds were calibrated; the others are read off the judging texts and promise nothing.
"""

import argparse
import sys
import tomllib
from pathlib import Path

import numpy as np

from hedgerow.adaptation.keeping import adapted, read_record
from hedgerow.adaptation.text import exits
from hedgerow.adaptation.text.exits import Floats
from hedgerow.adaptation.text.recipe import NAME
from hedgerow.adaptation.text.running import Exiting
from hedgerow.adaptation.text.sources import fetch_newsgroups, halves
from hedgerow.adaptation.text.words import WordPiece, read_vocabulary

ENTROPIES = (0.1, 0.2, 0.4, 0.8, 1.2)
TOPS = (0.95, 0.9, 0.8, 0.7, 0.6)
PATIENCES = (4, 3, 2, 1)


def rows(figures: dict[str, object], exit_count: int) -> list[tuple[str, str, str, Floats]]:
    """(rule, threshold, mark, thresholds of the exits)."""
    found = []
    for rule, values in zip(exits.RULES, (TOPS, ENTROPIES, PATIENCES), strict=True):
        for value in values:
            sign = -1.0 if rule == exits.RULES[1] else 1.0
            found.append((rule, f"{value:g}", "", np.full(exit_count, sign * value)))
        kept = figures["rules"][rule]["thresholds"]  # type: ignore[index]
        gates = np.array([np.inf if gate is None else gate for gate in kept])
        shown = " ".join("-" if not np.isfinite(each) else f"{abs(each):.3g}" for each in gates)
        found.append((rule, shown if len(set(shown.split())) > 1 else shown.split()[0], "*", gates))
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=None, help="default: the newsgroups' own")
    options = parser.parse_args()
    folder = options.folder or adapted("newsgroups")
    record = read_record(folder / f"{NAME}.adapt.json")
    models = tomllib.loads((folder / "task.toml").read_text())["model"]
    encoder, *heads = ((folder / model["file"]).read_bytes() for model in models if model["file"].startswith(NAME))
    with np.load(folder / "scores.npz") as archive:
        scores, labels = archive["judge"].astype(np.float64), archive["judge_labels"]
        unseen = np.concatenate([archive["calibrate"], archive["judge"]], axis=1).astype(np.float64)
    asked, path = record["figures"]["asked"], np.array(record["figures"]["path"])
    shares = exits.resplits(unseen, path, at_most=asked, level=record["figures"]["level"])
    kept = sum(share <= asked for share in shares)
    print(
        f"{kept} of {len(shares)} resplits keep {asked:g}: {np.mean(shares):.4f} on average, {max(shares):.4f} at most"
    )
    texts = halves(fetch_newsgroups(print)[1])[1].texts
    words = WordPiece(read_vocabulary((folder / "vocab.txt").read_bytes()))
    tensors = words.tensors(texts, tokens=record["origin"]["tokens"])
    print(f"{len(labels)} texts judge; full model: accuracy {(scores[-1].argmax(-1) == labels).mean():.3f}")
    print(
        "| rule | threshold | layers of 6 | layers saved | times as fast (clock) | (processor) | disagreement | accuracy |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with Exiting(encoder, heads) as chain:
        for rule, shown, mark, gates in rows(record["figures"], len(heads)):
            used = exits.usage(scores, labels, gates, rule)
            times = chain.times(tensors, gates.tolist(), count=options.texts, rule=rule)
            print(
                f"| {rule}{mark} | {shown} | {used.layers:.2f} | {1 - used.layers / len(scores):.0%} | {times.speedup:.2f} | {times.speedup_cpu:.2f}"
                f" | {used.disagreement:.3f} | {used.accuracy:.3f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
