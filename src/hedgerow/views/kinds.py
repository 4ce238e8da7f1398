"""Eight ways in which a request can end, and how each is drawn; the same in every view."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hedgerow.core.records import Reason, Source


class Kind(StrEnum):
    """Who gave the answer."""

    DEVICE = "device"  # a local arm, chosen as such
    EXIT = "exit"  # an early exit was sure enough, and the rest was not run
    CASCADE = "cascade"  # the small model was sure enough, and the bigger one was not asked
    RESERVE = "reserve"  # the device, in place of a remote arm that did not come
    SPLIT = "split"  # begun on the device, ended in the cloud
    CLOUD = "cloud"  # the compressed input went to the cloud
    REUSED = "reused"  # the last answer stood, as the scene had not changed
    NONE = "no answer"


@dataclass(frozen=True, slots=True)
class Look:
    """`terminal`: a colour name of Rich; `picture`: of matplotlib (Okabe and Ito's palette, apart for most eyes)."""

    terminal: str
    picture: str
    marker: str
    letter: str


LOOKS: Final[dict[Kind, Look]] = {
    Kind.DEVICE: Look("yellow", "#E69F00", "s", "d"),
    Kind.EXIT: Look("bright_yellow", "#56B4E9", "P", "e"),
    Kind.CASCADE: Look("white", "#000000", "*", "a"),
    Kind.RESERVE: Look("magenta", "#CC79A7", "D", "r"),
    Kind.SPLIT: Look("cyan", "#009E73", "^", "s"),
    Kind.CLOUD: Look("bright_blue", "#0072B2", "o", "c"),
    Kind.REUSED: Look("green", "#F0E442", "v", "u"),
    Kind.NONE: Look("red", "#D55E00", "X", "x"),
}


def kind_of(source: str, arm: str, reason: str = "") -> Kind:
    """From an answer's source, its arm's name and why it was given. An arm with gates ("cascade:MODELS>ARM", "exit:MODEL@EXITS") is
    called by what lies behind its last one, unless it stopped at one."""
    last = arm.partition(">")[2] if arm.startswith("cascade:") else arm
    if source == Source.REMOTE:
        return Kind.SPLIT if last.startswith("split:") else Kind.CLOUD
    if source == Source.LOCAL:
        if reason == Reason.CONFIDENT_AT_GATE:
            return Kind.CASCADE if arm.startswith("cascade:") else Kind.EXIT
        return Kind.RESERVE if last.startswith(("cloud:", "split:")) else Kind.DEVICE
    return Kind.REUSED if source == Source.REUSED else Kind.NONE
