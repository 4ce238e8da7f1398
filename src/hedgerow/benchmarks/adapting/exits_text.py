"""Text exits: the newsgroups nobody trained on, answered by MiniLM with its exits and without, and timed by turns.

Half of the unseen texts calibrated the gates, the other half judges them; then both are shuffled and halved anew a hundred times,
the gates calibrated on one half each time and judged on the other.
"""

import os

import numpy as np

from hedgerow.adaptation.keeping import read_record
from hedgerow.adaptation.text import exits
from hedgerow.adaptation.text.recipe import NAME, TIMED_TEXTS, thresholds_of
from hedgerow.adaptation.text.running import Exiting
from hedgerow.adaptation.text.sources import Texts, fetch_newsgroups, halves
from hedgerow.adaptation.text.words import WordPiece, read_vocabulary
from hedgerow.benchmarks.adapting.setting import RESPLITS, Setting
from hedgerow.models.home import read_whole

TASK = "newsgroups"
THREADS_MAX = 2  # for the answers; timed is one thread
VOCABULARY_BYTES_MAX = 1 << 26
MODEL_BYTES_MAX = 1 << 30


def measure(setting: Setting) -> dict[str, float | int]:
    """The figures of `bench adapt`, "exits_text"; UsageError before `make adapt`, HostError where the texts cannot be had."""
    folder = setting.made(TASK).parent
    record = read_record(folder / f"{NAME}.adapt.json")
    figures, origin = record["figures"], record["origin"]
    gates = thresholds_of(figures)
    words = WordPiece(
        read_vocabulary(
            read_whole(folder / "vocab.txt", "vocabulary", bytes_max=VOCABULARY_BYTES_MAX, made_by="make adapt")
        )
    )
    _, unseen = fetch_newsgroups(setting.say)
    calibrate, judge = halves(unseen)
    files = [f"{NAME}.onnx", *(f"{NAME}-exit{number}.onnx" for number in range(1, len(gates) + 1))]
    encoder, *heads = (
        read_whole(folder / name, "model", bytes_max=MODEL_BYTES_MAX, made_by="make adapt") for name in files
    )
    both = Texts(calibrate.texts + judge.texts, np.concatenate([calibrate.labels, judge.labels]), unseen.classes)
    tensors = words.tensors(both.texts, tokens=origin["tokens"])
    with Exiting(encoder, heads, threads=min(THREADS_MAX, os.cpu_count() or 1)) as chain:
        scores = chain.scores(tensors, setting.say)
    judged = {name: array[len(calibrate.texts) :] for name, array in tensors.items()}
    with Exiting(encoder, heads, threads=1) as chain:
        times = chain.times(judged, gates, count=TIMED_TEXTS)
    got = exits.usage(scores[:, len(calibrate.texts) :], judge.labels, np.array(gates))
    asked = float(figures["asked"])
    shares = exits.resplits(scores, np.array(figures["path"]), at_most=asked, level=figures["level"], count=RESPLITS)
    return {
        "speedup": round(times.speedup, 3),
        "disagreement_asked": asked,
        "disagreement_got": round(got.disagreement, 4),
        "accuracy_full": round(float((scores[-1, len(calibrate.texts) :].argmax(-1) == judge.labels).mean()), 4),
        "accuracy_exits": round(got.accuracy, 4),
        "resplits_kept": sum(share <= asked for share in shares),
        "speedup_cpu": round(times.speedup_cpu, 3),
        "layers": round(got.layers, 3),
        "layers_full": len(scores),
        "full_ms": round(times.full_ms, 3),
        "exits_ms": round(times.exits_ms, 3),
        "texts": len(judge.texts),
    }
