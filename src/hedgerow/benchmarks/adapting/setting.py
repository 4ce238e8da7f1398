"""Where `bench adapt` finds what `make adapt` made, and which photographs it judges on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hedgerow.adaptation.keeping import adapted
from hedgerow.errors import UsageError

RESPLITS = 100  # exits: `resplits_kept` counts those of so many in which the disagreement asked for was kept


@dataclass(frozen=True, slots=True)
class Setting:
    """`data` holds images/ and cifar10_jpeg.npz; `holdout`, if given, is a folder of photographs that replaces the part
    "judge" of data/images. Thresholds are read from what was made, never set here."""

    data: Path
    holdout: Path | None
    say: Callable[[str], None]

    def made(self, task: str) -> Path:
        """The task file of this name below `home/adapted`; UsageError before `make adapt`."""
        path = adapted(task) / "task.toml"
        if not path.is_file():
            raise UsageError(f"there is no {path}: run `make adapt` first")
        return path
