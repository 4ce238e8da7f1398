"""Makes MiniLM with its exits from labelled texts: trained, written as ONNX, calibrated, judged, kept with a record.

Files in the folder: NAME.onnx (the encoder and its classifier), NAME-exit1.onnx .., labels.txt, vocab.txt, scores.npz (what every
exit said of every text that was not trained on), samples/ (texts as .npz files, to try `hedgerow run` with), NAME.adapt.json
(the record, written last). Four parts of the texts never mix: most of
the training table trains, a tenth of it lays out the thresholds, and the unseen table is halved into texts that calibrate and
texts that judge. Stopped at any time, it goes on from the last kept step; made once, it is not made again.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hedgerow.adaptation.keeping import Checkpoint, Made, Say, digest
from hedgerow.adaptation.risk import samples_needed
from hedgerow.adaptation.temperature import fit_temperature
from hedgerow.adaptation.text import exits
from hedgerow.adaptation.text.exits import Floats
from hedgerow.adaptation.text.running import Exiting, Times, spread
from hedgerow.adaptation.text.sources import Encoder, Texts, check_training, halves
from hedgerow.adaptation.text.words import WordPiece, read_vocabulary
from hedgerow.errors import UsageError
from hedgerow.models.fetch import minilm
from hedgerow.models.fetch.safetensors import read_safetensors
from hedgerow.models.tensors import Array, Tensors

RECIPE_VERSION = 1  # raised when the same texts would come out otherwise
SAMPLES_KEPT = 100
TIMED_TEXTS = 150
DESIGN_TENTH = 10
NAME = "minilm"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose."""

    tokens: int = 64
    epochs: float = 1.0
    disagreement: float = 0.05
    level: float = 0.95
    seed: int = 0
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Split:
    """The four parts, each with its token numbers."""

    train: Texts
    design: Texts
    calibrate: Texts
    judge: Texts


def make(
    folder: Path, train: Texts, unseen: Texts, encoder: Encoder, options: Options, say: Say
) -> list[dict[str, Any]]:
    """Make it in `folder` unless it is made; the tables [[model]] for a task file there.

    UsageError: data that does not do, PyTorch missing, something else of that name there; HostError: disk.
    """
    _check(train, unseen, options)
    made = Made(folder / f"{NAME}.onnx", _origin(train, unseen, encoder, options))
    record = made.record()
    if record is None:
        record = _make(made, _split(train, unseen, options.seed), encoder, options, say)
    return entries(record)


def entries(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of a record, with the gates that were calibrated; an exit at which nothing may stop has none."""
    figures = record["figures"]
    count = len(figures["gates"])
    heads = figures["temperatures"]
    found: list[dict[str, Any]] = [
        {
            "name": NAME,
            "file": f"{NAME}.onnx",
            "joints": [minilm.joint(layer) for layer in range(1, count + 1)],
            "temperature": heads[-1],
        }
    ]
    for number, gate in enumerate(figures["gates"], start=1):
        entry = {
            "name": f"{NAME}-exit{number}",
            "file": f"{NAME}-exit{number}.onnx",
            "trunk": NAME,
            "after": minilm.joint(number),
            "temperature": heads[number - 1],
        }
        found.append(entry if gate is None else entry | {"gate": gate})
    return found


def _check(train: Texts, unseen: Texts, options: Options) -> None:
    check_training(train, "the training table")
    if not 8 <= options.tokens <= 512:
        raise UsageError(f"a text is cut to 8 to 512 tokens, not {options.tokens}")
    if not 0.0 < options.disagreement < 1.0:
        raise UsageError(f"disagreement is asked for as a share between 0 and 1, not {options.disagreement:g}")
    design = len(train.texts) // DESIGN_TENTH
    if design < exits.DESIGN_TEXTS_MIN:
        raise UsageError(
            f"the training table holds {len(train.texts)} texts, a tenth of which lays out the thresholds; "
            f"{exits.DESIGN_TEXTS_MIN * DESIGN_TENTH} would be enough"
        )
    calibrating, judging = (len(half.texts) for half in halves(unseen))
    needed = samples_needed(options.disagreement, options.level, judging)
    if calibrating < needed or not judging:
        raise UsageError(
            f"{len(unseen.texts)} unseen texts leave {calibrating} to calibrate with; to promise at most "
            f"{options.disagreement:g} at {options.level:g}, {needed} that all agree would be the fewest: give {2 * needed + 100}"
        )


def _origin(train: Texts, unseen: Texts, encoder: Encoder, options: Options) -> dict[str, Any]:
    """All that decides what comes out; the number of threads does so only in the last bits."""
    chosen = asdict(options)
    del chosen["threads"]
    return chosen | {
        "recipe_version": RECIPE_VERSION,
        "weights_sha256": digest(encoder.weights),
        "vocabulary_sha256": digest(encoder.vocabulary),
        "classes": list(train.classes),
        "train_sha256": _texts_digest(train),
        "unseen_sha256": _texts_digest(unseen),
        "source": encoder.source,
    }


def _texts_digest(texts: Texts) -> str:
    return digest("\n".join(texts.texts).encode() + texts.labels.tobytes())


def _split(train: Texts, unseen: Texts, seed: int) -> Split:
    order = np.random.default_rng(seed).permutation(len(train.texts))
    design = len(order) // DESIGN_TENTH
    calibrate, judge = halves(unseen)
    return Split(train.take(order[design:]), train.take(order[:design]), calibrate, judge)


def _make(made: Made, split: Split, encoder: Encoder, options: Options, say: Say) -> dict[str, Any]:
    words = WordPiece(read_vocabulary(encoder.vocabulary))
    checkpoint = made.checkpoint()
    files = _trained_files(split.train, words, encoder, options, checkpoint, say)
    folder = made.path.parent
    with Exiting(files[f"{NAME}.onnx"], _exit_files(files), threads=options.threads) as chain:
        scores = {
            part: _scores(chain, texts, words, options, checkpoint, part, say)
            for part, texts in (("design", split.design), ("calibrate", split.calibrate), ("judge", split.judge))
        }
    figures = judge(scores, split, options)
    judged = words.tensors(split.judge.texts, tokens=options.tokens)
    with Exiting(files[f"{NAME}.onnx"], _exit_files(files), threads=1) as chain:
        say(f"timing {TIMED_TEXTS} texts both ways")
        times = chain.times(judged, thresholds_of(figures), count=TIMED_TEXTS)
    figures["times"] = asdict(times) | {"speedup": times.speedup, "speedup_cpu": times.speedup_cpu}
    say(told(figures, times))
    extra = {
        "labels.txt": "".join(f"{name}\n" for name in split.train.classes).encode(),
        "vocab.txt": encoder.vocabulary,
    }
    extra["scores.npz"] = _archive(
        {part: each.astype(np.float32) for part, each in scores.items()}
        | {f"{part}_labels": getattr(split, part).labels for part in scores}
    )
    extra |= {f"samples/{name}": data for name, data in _samples(judged, split.judge).items()}
    record = made.keep({folder / name: data for name, data in (files | extra).items()}, figures)
    checkpoint.clear()
    return record


def thresholds_of(figures: Mapping[str, Any]) -> list[float]:
    """The gates, infinite where nothing may stop."""
    return [float("inf") if gate is None else float(gate) for gate in figures["gates"]]


def told(figures: Mapping[str, Any], times: Times) -> str:
    """What came out, in a line."""
    found = figures["judged"]
    return (
        f"{times.speedup:.2f} times as fast as the whole ({times.full_ms:.1f} -> {times.exits_ms:.1f} ms a text), "
        f"{found['layers']:.2f} layers, disagreement {found['disagreement']:.3f} of {figures['asked']:g} asked, "
        f"accuracy {found['accuracy']:.3f} (whole: {figures['accuracy_full']:.3f})"
    )


def judge(scores: Mapping[str, Floats], split: Split, options: Options) -> dict[str, Any]:
    """Calibrate the rules on "calibrate" along paths laid out on "design", and say what they do on "judge"."""
    unseen, labels = len(split.judge.texts), split.judge.labels
    laid = exits.paths(scores["design"], at_most=options.disagreement)
    rules: dict[str, Any] = {}
    for rule, path in laid.items():
        thresholds, promise = exits.calibrate(
            scores["calibrate"], path, rule, at_most=options.disagreement, level=options.level, unseen=unseen
        )
        rules[rule] = {
            "thresholds": _finite(thresholds),
            "promise": {key: value for key, value in asdict(promise).items() if key != "threshold"},
            "judged": asdict(exits.usage(scores["judge"], labels, thresholds, rule)),
        }
    chosen = rules[exits.RULES[0]]
    classes = scores["judge"].argmax(axis=-1)
    return {
        "asked": options.disagreement,
        "level": options.level,
        "gates": chosen["thresholds"],
        "judged": chosen["judged"],
        "accuracy_full": float((classes[-1] == labels).mean()),
        "accuracy_of_exits": [float((each == labels).mean()) for each in classes],
        "agreement_of_exits": [float((each == classes[-1]).mean()) for each in classes],
        "rules": rules,
        "path": [[round(float(value), 9) for value in row] for row in laid[exits.RULES[0]]],
        "temperatures": [fit_temperature(each, split.design.labels).temperature for each in scores["design"]],
        "texts": {part: len(getattr(split, part).texts) for part in ("train", "design", "calibrate", "judge")},
    }


def _finite(thresholds: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in thresholds]


def _trained_files(
    texts: Texts, words: WordPiece, encoder: Encoder, options: Options, checkpoint: Checkpoint, say: Say
) -> dict[str, bytes]:
    """The ONNX files by name."""
    kept = {name: checkpoint.load(name) for name in ["files.json"]}
    if kept["files.json"] is not None:
        names = json.loads(kept["files.json"])
        found = {name: checkpoint.load(name) for name in names}
        if all(data is not None for data in found.values()):
            return {name: data for name, data in found.items() if data is not None}
    from hedgerow.adaptation.text.training_text import Schedule, train  # PyTorch only where something is trained

    state = {name: array for name, array in read_safetensors(encoder.weights).items() if name not in minilm.UNUSED}
    trained = train(
        state,
        words.tensors(texts.texts, tokens=options.tokens),
        texts.labels,
        classes=len(texts.classes),
        schedule=Schedule(epochs=options.epochs),
        seed=options.seed,
        threads=options.threads,
        checkpoint=checkpoint,
        say=say,
    )
    files = onnx_files(trained.encoder, trained.heads, options.tokens, encoder.source)
    for name, data in files.items():
        checkpoint.save(name, data)
    checkpoint.save("files.json", json.dumps(list(files)).encode())
    return files


def onnx_files(
    state: Mapping[str, Array], heads: tuple[tuple[Array, Array], ...], tokens: int, source: str
) -> dict[str, bytes]:
    """The encoder with the last head as its classifier, and each other head as an exit."""
    named = [{"classifier.weight": weight, "classifier.bias": bias} for weight, bias in heads]
    source = f"{source}; trained further by hedgerow adapt"
    files = {f"{NAME}.onnx": minilm.build(dict(state) | named[-1], name=NAME, tokens=tokens, source=source)}
    for layer, head in enumerate(named[:-1], start=1):
        name = f"{NAME}-exit{layer}"
        files[f"{name}.onnx"] = minilm.build_exit(head, layer=layer, tokens=tokens, name=name, source=source)
    return files


def _exit_files(files: Mapping[str, bytes]) -> list[bytes]:
    return [files[f"{NAME}-exit{number}.onnx"] for number in range(1, len(files))]


def _scores(
    chain: Exiting, texts: Texts, words: WordPiece, options: Options, checkpoint: Checkpoint, part: str, say: Say
) -> Floats:
    kept = checkpoint.load(f"{part}.npy")
    if kept is not None:
        found: Floats = np.load(io.BytesIO(kept), allow_pickle=False)
        return found
    say(f"asking every exit about {len(texts.texts)} texts to {part} with")
    scores = chain.scores(words.tensors(texts.texts, tokens=options.tokens), say)
    stream = io.BytesIO()
    np.save(stream, scores)
    checkpoint.save(f"{part}.npy", stream.getvalue())
    return scores


def _samples(tensors: Tensors, texts: Texts) -> dict[str, bytes]:
    """Some texts that judge as .npz files, named by number and class."""
    rows = spread(len(texts.texts), SAMPLES_KEPT)
    return {
        f"{number:03d}-{texts.classes[texts.labels[row]]}.npz": _archive(
            {name: array[row : row + 1] for name, array in tensors.items()}
        )
        for number, row in enumerate(rows)
    }


def _archive(arrays: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
