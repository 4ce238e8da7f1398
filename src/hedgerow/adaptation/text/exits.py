"""When may an exit's answer stand? The rules that are compared, and the thresholds that keep the promise.

Three rules, each with one number that goes from strict to lax, so that one test after another finds the laxest that keeps the
promise (`risk`): the top probability at least t_i at exit i (the path below; what is deployed as `gate`); DeeBERT's entropy of the
scores below S, the same at all exits; PABEE's patience, k exits in a row of one opinion. Answers are scores (exits + 1, texts,
classes), those of the full model last; "agree" means its class.

The path of the first rule: how likely an exit agrees with the full model is fitted as a logistic function of the log-odds of its
top probability, on texts that neither trained nor calibrate; at price p an exit may answer where the chance to disagree is below
p (layers saved / all layers)^q, so with q > 0 an early exit, which saves more, may err more. q is chosen on the same texts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.exits.running import softmax
from hedgerow.adaptation.risk import Calibrated, outcome, row_for
from hedgerow.errors import UsageError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ROWS = 400  # of a path
POWERS = (0.0, 0.5, 1.0, 2.0)
LOWEST_PRICE, HIGHEST_PRICE = 1e-4, 0.9
TOO_SURE = 1.0 - 1e-9  # a probability that rounds to one
RULES = ("top probability", "entropy", "patience")
DESIGN_TEXTS_MIN = 200


@dataclass(frozen=True, slots=True)
class Usage:
    """What a rule does to some texts: shares of all of them, and the mean number of layers that ran."""

    disagreement: float
    accuracy: float
    layers: float
    stops: tuple[float, ...]  # at each exit, and at the end


def top_confidence(scores: Floats) -> Floats:
    """(texts, exits) the top probability of each exit; the full model's own is left out."""
    return np.asarray(softmax(scores[:-1]).max(axis=-1).T)


def entropy_confidence(scores: Floats) -> Floats:
    """(texts, exits) minus the entropy of each exit's probabilities, in nats: higher is surer."""
    shares = softmax(scores[:-1])
    return np.asarray((shares * np.log(np.maximum(shares, 1e-300))).sum(axis=-1).T)


def patience_confidence(scores: Floats) -> Floats:
    """(texts, exits) how many exits in a row, this one the last, are of one opinion."""
    classes = scores[:-1].argmax(axis=-1)
    runs = np.ones(classes.shape, np.float64)
    for layer in range(1, len(classes)):
        runs[layer] += np.where(classes[layer] == classes[layer - 1], runs[layer - 1], 0.0)
    return runs.T


def agreements(scores: Floats) -> Flags:
    """(texts, exits) whether an exit names the full model's class."""
    classes = scores.argmax(axis=-1)
    return np.asarray((classes[:-1] == classes[-1]).T, np.bool_)


def confidence_of(rule: str, scores: Floats) -> Floats:
    """What this rule compares with its thresholds."""
    found = {RULES[0]: top_confidence, RULES[1]: entropy_confidence, RULES[2]: patience_confidence}[rule]
    return found(scores)


def paths(design: Floats, *, at_most: float) -> Mapping[str, Floats]:
    """For each rule its thresholds (rows, exits), strict to lax, laid out on the scores `design` of texts of their own, where
    `at_most` may disagree.

    UsageError for too few of them.
    """
    if design.shape[1] < DESIGN_TEXTS_MIN:
        raise UsageError(
            f"{design.shape[1]} texts are held back to lay out the thresholds; {DESIGN_TEXTS_MIN} would be enough: "
            "give more texts to train on"
        )
    exits = len(design) - 1
    entropies = -np.geomspace(1e-4, math.log(design.shape[2]), ROWS)
    waits = np.arange(exits + 1, 0, -1, dtype=np.float64)
    return {
        RULES[0]: _best_path(design, at_most),
        RULES[1]: np.repeat(entropies[:, None], exits, axis=1),
        RULES[2]: np.repeat(waits[:, None], exits, axis=1),
    }


def calibrate(
    scores: Floats, path: Floats, rule: str = RULES[0], *, at_most: float, level: float = 0.95, unseen: int = 0
) -> tuple[Floats, Calibrated]:
    """The laxest thresholds (exits,) of the path that keep the promise on these texts, and the promise.

    Thresholds are infinite where none does. UsageError for too few texts, saying how many would be enough.
    """
    found = row_for(confidence_of(rule, scores), agreements(scores), path, at_most=at_most, level=level, unseen=unseen)
    return path[found.row] if found.row >= 0 else np.full(path.shape[1], np.inf), found


def usage(scores: Floats, labels: NDArray[np.int64], thresholds: Floats, rule: str = RULES[0]) -> Usage:
    """What these thresholds do to these texts."""
    reached = np.concatenate(
        [confidence_of(rule, scores) >= thresholds, np.ones((scores.shape[1], 1), np.bool_)], axis=1
    )
    first = reached.argmax(axis=1)
    classes = scores.argmax(axis=-1)
    given = classes[first, np.arange(len(first))]
    stops = np.bincount(first, minlength=len(scores)) / len(first)
    return Usage(
        disagreement=float((given != classes[-1]).mean()),
        accuracy=float((given == labels).mean()),
        layers=float((first + 1).mean()),
        stops=tuple(float(share) for share in stops),
    )


def resplits(
    scores: Floats, path: Floats, *, at_most: float, level: float = 0.95, count: int = 100, seed: int = 0
) -> list[float]:
    """`count` times: calibrate on a random half of these texts, and the disagreement among the other half."""
    random = np.random.default_rng(seed)
    half = scores.shape[1] // 2
    confidence, agrees = top_confidence(scores), agreements(scores)
    found = []
    for _ in range(count):
        order = random.permutation(scores.shape[1])
        ours, theirs = order[:half], order[half:]
        row = row_for(confidence[ours], agrees[ours], path, at_most=at_most, level=level, unseen=len(theirs)).row
        wrong = outcome(confidence[theirs], agrees[theirs], path[row])[1] if row >= 0 else np.zeros(1, np.bool_)
        found.append(float(wrong.mean()))
    return found


def _best_path(design: Floats, at_most: float) -> Floats:
    """The power whose path runs the fewest layers at this disagreement on the texts it is laid out on."""
    confidence, agrees = top_confidence(design), agreements(design)
    fits = [_logistic(_log_odds(confidence[:, exit_]), agrees[:, exit_]) for exit_ in range(confidence.shape[1])]
    candidates = [_path(fits, power) for power in POWERS]
    return min(candidates, key=lambda path: _layers_at(confidence, agrees, path, at_most))


def _path(fits: list[tuple[float, float]], power: float) -> Floats:
    layers = len(fits) + 1
    prices = np.geomspace(LOWEST_PRICE, HIGHEST_PRICE, ROWS)
    saved = np.array([(layers - number) / layers for number in range(1, layers)]) ** power
    chance = np.minimum(prices[:, None] * saved / saved.max(), HIGHEST_PRICE)  # to disagree, allowed at each exit
    wanted = np.log((1.0 - chance) / chance)  # log-odds of agreeing
    odds = np.stack([(wanted[:, place] - level) / slope for place, (slope, level) in enumerate(fits)], axis=1)
    return np.asarray(np.minimum(1.0 / (1.0 + np.exp(-np.clip(odds, -40.0, 40.0))), TOO_SURE))


def _layers_at(confidence: Floats, agrees: Flags, path: Floats, at_most: float) -> float:
    """Mean layers of the laxest row that disagrees at most so often."""
    layers = float(path.shape[1] + 1)
    for thresholds in path:
        if outcome(confidence, agrees, thresholds)[1].mean() > at_most:
            break
        reached = np.concatenate([confidence >= thresholds, np.ones((len(confidence), 1), np.bool_)], axis=1)
        layers = float((reached.argmax(axis=1) + 1).mean())
    return layers


def _log_odds(confidence: Floats) -> Floats:
    clipped = np.clip(confidence, 1e-6, TOO_SURE)
    return np.asarray(np.log(clipped / (1.0 - clipped)))


def _logistic(odds: Floats, agrees: Flags) -> tuple[float, float]:
    """Slope and level of P(agree) = 1 / (1 + exp(-(slope x + level))), by Newton's method with a light ridge; slope > 0."""
    centre, spread = float(odds.mean()), float(odds.std()) or 1.0
    design = np.stack([(odds - centre) / spread, np.ones_like(odds)], axis=1)
    beta = np.zeros(2)
    for _ in range(30):
        chance = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -30.0, 30.0)))
        weight = np.maximum(chance * (1.0 - chance), 1e-9)
        slope_of_loss = design.T @ (agrees - chance) - beta
        beta = beta + np.linalg.solve(design.T @ (design * weight[:, None]) + np.eye(2), slope_of_loss)
    slope = max(float(beta[0]) / spread, 1e-3)
    return slope, float(beta[1]) - slope * centre
