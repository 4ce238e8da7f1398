"""Whether an arm's answer agrees with the reference's, read from the profile's own samples.

Rules: a request has one sample of the profile, and every arm is judged at that same sample: an easy picture is easy for all,
so agreement is drawn jointly, never arm by arm. Neighbouring frames are alike: a sample stays for a run of requests of
geometric length with mean `run_length`. The sample is a function of seed and request alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError
from hedgerow.profiling.agreement import local_name
from hedgerow.profiling.profile import Profile

_BLOCK = 4096


class Agreements:
    """`bits[arm]` has a "1" or "0" for each sample of a profile; `confidences[model]` a share or None."""

    def __init__(
        self,
        bits: Mapping[str, str],
        generator: np.random.Generator,
        *,
        run_length: float = 1.0,
        confidences: Mapping[str, Sequence[float | None]] | None = None,
    ) -> None:
        if not bits or len({len(each) for each in bits.values()}) != 1 or not len(next(iter(bits.values()))):
            raise UsageError("agreement needs at least one sample, and the same samples for every arm")
        if not 1 <= run_length < 1e9:
            raise UsageError(f"the mean run of like samples is {run_length:g}: give 1 or more")
        self.samples = len(next(iter(bits.values())))
        self._bits = {arm: [bit == "1" for bit in each] for arm, each in bits.items()}
        self._generator, self._run_length = generator, run_length
        self._confidences = dict(confidences or {})
        self._drawn: list[int] = []

    @classmethod
    def of_profile(cls, profile: Profile, generator: np.random.Generator, *, run_length: float = 1.0) -> "Agreements":
        """Every arm that the profile judged."""
        bits = {name: each.per_sample for name, each in profile.agreement.items()}
        confidences = {model.name: model.confidence for model in profile.models}
        return cls(bits, generator, run_length=run_length, confidences=confidences)

    def sample(self, request: int) -> int:
        """The sample (0 up to `samples`) that this request carries."""
        while len(self._drawn) <= request:
            self._draw()
        return self._drawn[request]

    def agrees(self, request: int, arm: str) -> bool:
        """Whether `arm` gives the reference's answer to this request; UsageError for an arm that was never judged."""
        if len(self._drawn) <= request:
            self.sample(request)
        try:
            return self._bits[arm][self._drawn[request]]
        except KeyError:
            raise UsageError(f"the profile did not judge arm '{arm}'; it has {', '.join(self._bits)}") from None

    def agreeing(self, arm: str, requests: int) -> NDArray[np.bool_]:
        """(requests,): the same for requests 0 up to `requests`, for sweeps."""
        self.sample(max(requests - 1, 0))
        self.agrees(0, arm)
        found: NDArray[np.bool_] = np.array(self._bits[arm])[np.array(self._drawn[:requests])]
        return found

    def same(self, request: int, arm: str, model: str) -> bool | None:
        """Whether `arm` and `model` on the device give one answer; None where both differ from the reference, for then a
        profile does not say whether they also differ from each other."""
        one, other = self.agrees(request, arm), self.agrees(request, local_name(model))
        if one and other:
            return True
        return False if one or other else None

    def confidence(self, request: int, model: str) -> float | None:
        """How sure `model` is of its answer to this request; None where the profile does not know."""
        known = self._confidences.get(model)
        return None if known is None else known[self.sample(request)]

    def _draw(self) -> None:
        """One more block: a new sample where a run ends, else the last one."""
        fresh = self._generator.integers(0, self.samples, _BLOCK)
        ends = self._generator.random(_BLOCK) * self._run_length < 1.0
        if not self._drawn:
            ends[0] = True
        newest = np.maximum.accumulate(np.where(ends, np.arange(_BLOCK), -1))
        before = self._drawn[-1] if self._drawn else 0
        self._drawn += np.where(newest >= 0, fresh[newest], before).tolist()
