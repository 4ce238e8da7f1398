"""Learned: a small network, trained by reinforcement in the simulator, says how far each arm's cost is from its expectation.

Idea     the expectation over recent samples (`ours`) knows no trend, trusts few samples and does not see that a choice teaches
         something; a network that has met many links can. One network scores every arm, so any table will do.
Formula  argmin over arms of  expected cost / local cost + w3 . relu(W2 . relu(W1 . (figures of the arm, figures of all)))
Source   PPO (Schulman et al. 2017) by Stable-Baselines3 in a Gymnasium environment over this simulator; docs/learned.md is the
         model card. The weights are in `learned_weights.py`; `hedgerow.simulation.learning.training` makes them anew.
Fails    far from the links, deadlines and prices that it was trained on its correction is a guess (it is bounded, and the
         reserve is the core's); it keeps no memory beside the belief.

>>> from hedgerow.core.policies import by_name
>>> by_name("learned").uses_reserve
True
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from hedgerow.core.arms import Floats
from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import chosen
from hedgerow.core.policies.learned_features import OWN, SHARED, Seen, seen
from hedgerow.core.policies.learned_weights import WEIGHTS
from hedgerow.errors import UsageError

FORMAT = "hedgerow learned 1"
WIDTH_MAX = 256
CORRECTION_MAX = 0.1  # of the local cost; wider ones now and then fell into a trap on validation links
_STEPS = 1e6


@dataclass(frozen=True, eq=False)
class Network:
    """Weights as (inputs, outputs): `own` and `shared` make the first layer, `hidden` the second, `last` (width,) the score."""

    own: Floats
    shared: Floats
    first_bias: Floats
    hidden: Floats
    hidden_bias: Floats
    last: Floats

    @classmethod
    def of_text(cls, text: str) -> "Network":
        """Read what `text` wrote; UsageError says what is wrong with it."""
        head, _, body = text.strip().partition("\n")
        name, _, width_text = head.rpartition(" ")
        if name != FORMAT or not width_text.isdigit() or not 1 <= int(width_text) <= WIDTH_MAX:
            raise UsageError(
                f"these are no weights of the learned policy: they begin with {head[:40]!r}, not '{FORMAT} WIDTH'"
            )
        width = int(width_text)
        shapes = ((len(OWN), width), (len(SHARED), width), (width,), (width, width), (width,), (width,))
        counts = [int(np.prod(shape)) for shape in shapes]
        try:
            raw = bytes.fromhex(body)
        except ValueError:
            raise UsageError(
                "the learned policy's weights are damaged: not hexadecimal; train or fetch them anew"
            ) from None
        if len(raw) != 4 * sum(counts):
            wanted = f"{4 * sum(counts)} for {len(OWN)} + {len(SHARED)} figures and a width of {width}"
            raise UsageError(
                f"the learned policy's weights have {len(raw)} bytes, not {wanted}; train or fetch them anew"
            )
        values = np.frombuffer(raw, "<f4").astype(np.float64)
        if not np.isfinite(values).all():
            raise UsageError("the learned policy's weights are damaged: not all are numbers; train or fetch them anew")
        parts = np.split(values, np.cumsum(counts)[:-1])
        return cls(*(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))

    def text(self) -> str:
        """As `of_text` reads it, in lines of 240 digits."""
        parts = (self.own, self.shared, self.first_bias, self.hidden, self.hidden_bias, self.last)
        digits = b"".join(part.astype("<f4").tobytes() for part in parts).hex()
        lines = (digits[start : start + 240] for start in range(0, len(digits), 240))
        return "\n".join((f"{FORMAT} {len(self.last)}", *lines))

    def correction(self, what: Seen) -> Floats:
        """(slots,): what is to be added to each arm's expected cost, in shares of the local cost."""
        first = self.first_bias + np.add.reduce(self.shared * what.shared[:, None], axis=0)
        layer = np.add.reduce(self.own[:, :, None] * what.own[:, None, :], axis=0) + first[:, None]
        layer = np.maximum(layer, 0.0)
        layer = np.add.reduce(self.hidden[:, :, None] * layer[:, None, :], axis=0) + self.hidden_bias[:, None]
        score = np.add.reduce(self.last[:, None] * np.maximum(layer, 0.0), axis=0)
        found: Floats = np.clip(score, -CORRECTION_MAX, CORRECTION_MAX)
        return found


@cache
def shipped() -> Network:
    """The network that comes with the package."""
    return Network.of_text(WEIGHTS)


@dataclass
class Learned:
    """`network` None: the shipped one, which need not travel with the policy."""

    name: str = "learned"
    uses_reserve: bool = True
    network: Network | None = None

    def choose(self, view: View) -> Choice | None:
        """The arm of least corrected cost; ties go to the earlier row of the table."""
        what = seen(view)
        if what is None:
            return None
        return chosen(view, int(what.columns[self.slot(what)]))

    def slot(self, what: Seen) -> int:
        """Its place among the arms that were scored."""
        score = what.own[0] + (self.network or shipped()).correction(what)
        return int(np.rint(score * _STEPS).argmin())


POLICY = Learned()
