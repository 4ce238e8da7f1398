"""`hedgerow serve`, but the scores that a model gives are moved by one label: punctual, well formed, sealed, and wrong."""

from dataclasses import replace
from typing import Any

import numpy as np

from hedgerow.cli.main import main
from hedgerow.models.chain import Chain, Run

_honest = Chain.run


def _lie(self: Chain, *arguments: Any, **settings: Any) -> Run:
    ran = _honest(self, *arguments, **settings)
    if ran.last < len(self.segments) - 1:
        return ran
    return replace(ran, tensors={name: np.roll(scores, 1, axis=-1) for name, scores in ran.tensors.items()})


if __name__ == "__main__":
    Chain.run = _lie  # type: ignore[method-assign]
    main()
