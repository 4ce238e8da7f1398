"""The certificate as a file: what went in, what is claimed of it, and a digest over all. Reading only: nothing is proven here.

`Inputs` were given or measured; everything else in a `Document` is a claim that the checker computes again from them, by
code of its own. A file is whole or absent, and its text is canonical: the digest is the SHA-256 of the same document with an empty
digest as compact JSON. All times are whole ns. `docs/certificate.md` describes every field.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hedgerow.errors import UsageError
from hedgerow.models.home import read_whole, write_whole
from hedgerow.profiling.layout import readable

FORMAT = 1
KIND = "hedgerow deadline certificate"
CERTIFICATE_BYTES_MAX = 64 * 2**20


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Durations of one thing, idle and loaded together: the larger quantiles of both; the median is of the idle ones."""

    samples: int
    median_ns: int
    p999_ns: int
    max_ns: int


class SegmentInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One segment alone, and everything from it to the model's end."""

    name: str
    alone: Measured
    tail: Measured


class ModelInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model on a lane, as measured."""

    name: str
    lane: str
    segments: tuple[SegmentInput, ...]


class ArmInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an arm takes of a lane: segments 0..`last` of `model` (-1: none), and an encoding if it sends something."""

    name: str
    lane: str
    model: str
    last: int
    encode: Measured | None


class ProfileInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which profile the times are from. `sha256` is of its records as compact JSON."""

    sha256: str
    made: str
    task_id: str
    task_name: str
    processor: str
    quick: bool


class Inputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the claims are computed from, and when and by what. `deliver` is None of a profile that did not measure it."""

    made: str
    hedgerow: str
    streams: str
    profile: ProfileInput
    timer: Measured
    cancel: Measured
    models: tuple[ModelInput, ...]
    arms: tuple[ArmInput, ...]
    deliver: Measured | None = None


class MarginsClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Timer lateness, cancellation and delivery that the calendar counts with."""

    timer_ns: int
    cancel_ns: int
    deliver_ns: int


class BoundsClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model's certified bounds: `samples` is the least count behind any of them."""

    model: str
    lane: str
    samples: int
    segment_ns: tuple[int, ...]
    tail_ns: tuple[int, ...]


class HoldClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The longest time for which an arm holds its lane between two joints."""

    arm: str
    lane: str
    hold_ns: int


class StreamClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stream on its lane in one mode: `cost_ns` every `distance_ns`, needed `within_ns` of its latest arrival.

    `reserve` is the cheapest allowed one, whose bound is the cost. `slack_ns` is the largest cut of `within_ns` that the set bears, all else
    equal; `extra_blocking_ns` the longest that the lane may be held beyond what is counted with this stream still in time.
    """

    stream: str
    reserve: str
    reserves: tuple[str, ...]
    cost_ns: int
    distance_ns: int
    within_ns: int
    slack_ns: int
    extra_blocking_ns: int


class LaneClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One lane in one mode. `blocking_ns` is the longest that optional work may hold it between two joints.

    `horizon_ns`: until when moments were checked, `moments` how many; at `tightest_ns` the demand with all blocking,
    `demand_ns`, comes closest to the time there is.
    """

    lane: str
    streams: tuple[StreamClaim, ...]
    blocking_ns: int
    utilisation_ppm: int
    horizon_ns: int
    moments: int
    tightest_ns: int
    demand_ns: int
    arms_excluded: tuple[str, ...]
    reserves_excluded: tuple[str, ...]


class ModeClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One declared mode: its lanes, and the streams whose only reserve is their safe value."""

    name: str
    lanes: tuple[LaneClaim, ...]
    safe_value_only: tuple[str, ...]


class ChangeClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change between neighbouring modes, either way. `proven`: whatever is in flight at the change stays in time."""

    before: str
    after: str
    proven: bool


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole certificate; see the module's docstring."""

    format: int
    kind: str
    verdict: str
    inputs: Inputs
    margins: MarginsClaim
    bounds: tuple[BoundsClaim, ...]
    holds: tuple[HoldClaim, ...]
    modes: tuple[ModeClaim, ...]
    changes: tuple[ChangeClaim, ...]
    streams_sha256: str
    statement: tuple[str, ...]
    digest: str = ""

    def sealed(self) -> "Document":
        """The same with its digest."""
        return msgspec.structs.replace(self, digest=digest_of(self))

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; HostError when the disk is full or not writable."""
        write_whole(Path(path), readable(plain(self)).encode())


def plain(document: Document) -> dict[str, Any]:
    """The same as dicts and lists."""
    found: dict[str, Any] = msgspec.to_builtins(document)
    return found


def differences(claimed: Document, right: Document) -> list[str]:
    """The places in which `claimed` is not as `right`, in words."""
    return list(_differences("", plain(claimed), plain(right)))


def _differences(place: str, claimed: Any, right: Any) -> Iterator[str]:
    if isinstance(claimed, dict) and isinstance(right, dict):
        for key in {**claimed, **right}:
            yield from _differences(f"{place}.{key}".lstrip("."), claimed.get(key), right.get(key))
    elif isinstance(claimed, list | tuple) and isinstance(right, list | tuple) and len(claimed) == len(right):
        for number, (one, other) in enumerate(zip(claimed, right, strict=True)):
            yield from _differences(f"{place}[{number}]", one, other)
    elif claimed != right or type(claimed) is not type(right):
        yield f"{place} does not follow from the inputs"


def text_digest(text: str) -> str:
    """SHA-256 (hex) of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(document: Document) -> str:
    """SHA-256 (hex) over everything but the digest itself."""
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(document, digest=""))).hexdigest()


def statement_of(inputs: Inputs) -> tuple[str, ...]:
    """What the certificate says in words, and what that depends on; a fixed text of its inputs."""
    profile = inputs.profile
    fewest = min(
        (each.samples for model in inputs.models for part in model.segments for each in (part.alone, part.tail)),
        default=0,
    )
    basis = "0.999 quantile + 10 %" if fewest >= 1000 else "fewer than 1,000 samples: the largest seen + 20 % or 50 %"
    return (
        "feasible: with the network gone at the worst instant, every reserve named here is done in time,"
        " as long as every bound and margin named here holds and no two samples of a stream are captured closer than declared",
        f"measured for task '{profile.task_name}' on {profile.processor}, {profile.made}; void on another machine, for"
        " other models or another profile",
        f"bounds rest on at least {fewest} samples each ({basis}) and a declared margin; they are measured, not worst-case"
        " execution times",
        "the segments of one local run together are taken not to exceed the run's bound, however often it is interrupted",
        "measure again when the machine, its cooling, its system or what else runs on it changes",
    )


def load_document(path: str | Path, *, whole: bool = True) -> Document:
    """Read a file; UsageError, naming it, when it is missing, cut short, altered (if `whole`), of another format or none."""
    path = Path(path)
    data = read_whole(path, "certificate", bytes_max=CERTIFICATE_BYTES_MAX, made_by="hedgerow certify")
    return read_document(data, str(path), whole=whole)


def read_document(data: bytes, where: str, *, whole: bool = True) -> Document:
    """The document in `data`; UsageError naming `where` if it is not a whole, unaltered certificate of this format.

    `whole` False leaves the digest to the checker.
    """
    again = "make it again with `hedgerow certify`"
    try:
        found: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is not a whole certificate ({error}); {again}") from None
    kind, version = (found.get("kind"), found.get("format")) if isinstance(found, dict) else (None, None)
    if kind != KIND:
        raise UsageError(f"{where} is not a certificate; make one with `hedgerow certify`")
    if version != FORMAT or isinstance(version, bool):
        raise UsageError(f"{where} is a certificate of format {version!r}, not {FORMAT}; {again}")
    try:
        document = msgspec.convert(found, Document)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where} is a damaged certificate: {error}; {again}") from None
    if whole and digest_of(document) != document.digest:
        raise UsageError(f"{where} was altered after it was made: its digest does not fit; {again}")
    return document
