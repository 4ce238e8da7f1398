"""How often each arm gives the reference's answer, sample by sample and the same samples for all.

Rules: a calibration is judged on samples it has not seen (two folds); what loses nothing is not run again but taken from
the model's own answer; only what is measured is claimed, so a run that must end early judges fewer samples for all arms
alike. Answers are computed on all cores at once: nothing is timed here.

A branch is run from its trunk's tensors, and has joints of its own only. Which arms make sense is said once: splits of a trunk are
not tried again as an exit's, raw samples go to whole models and not to their exits or copies, and the head of a copy in another
precision goes on in the cloud as the model that it is a copy of.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from hedgerow.codecs import Codec, progressive
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.profiling.crossings import LIMITS, RAW, Alive, Crossing
from hedgerow.profiling.host import usable_cores
from hedgerow.profiling.profile import RAW_SAMPLE, Agreement
from hedgerow.profiling.samples import Sample

T = TypeVar("T")
PREFIX_SHARES = (0.5, 0.65, 0.8, 0.9)
"""Of a payload that can be read from its first part: where that is judged."""


def arm_name(model: str, joint: int, codec: str) -> str:
    """The arm that sends what is alive after segment `joint` of `model` in `codec`; joint -1: the raw sample."""
    return f"cloud:{model}:{codec}" if joint == RAW_SAMPLE else f"split:{model}@{joint}:{codec}"


def mixed_name(copy: str, model: str, joint: int, codec: str) -> str:
    """The arm whose head a copy in another precision runs, and whose tail is the model's."""
    return arm_name(f"{copy}>{model}", joint, codec)


def prefix_name(arm: str, share: float) -> str:
    """The same arm, answered from the first part of what it sends: up to the first place from this share on where it can be cut."""
    return f"{arm}|{share:g}"


def local_name(model: str) -> str:
    """The arm that runs all of `model` on the device."""
    return f"local:{model}"


def run_to_joints(
    chains: Mapping[str, Chain], samples: Sequence[Sample], *, end_s: float, samples_min: int
) -> tuple[dict[tuple[str, int], list[Tensors]], int]:
    """What is alive at every joint of every model, for each sample until `end_s` (monotonic), and how many there were.

    The last joint of each model holds its outputs; the key ("", -1) the raw samples. A branch has no keys of shared joints.
    """
    alive: dict[tuple[str, int], list[Tensors]] = {("", RAW_SAMPLE): []}
    done = 0
    with ThreadPoolExecutor(usable_cores()) as pool:
        for group in _groups(samples, usable_cores()):
            if done >= samples_min and time.monotonic() >= end_s:
                break
            for sample, joints in zip(group, pool.map(partial(_joints, chains), group), strict=True):
                alive["", RAW_SAMPLE].append(sample.tensors)
                for key, tensors in joints.items():
                    alive.setdefault(key, []).append(tensors)
                done += 1
    return alive, done


def _joints(chains: Mapping[str, Chain], sample: Sample) -> dict[tuple[str, int], Tensors]:
    found: dict[tuple[str, int], Tensors] = {}
    for name, chain in sorted(chains.items(), key=lambda each: each[1].shared):  # a trunk before its branches
        stem = next((other for other in chains if chain.shares(chains[other])), name)
        tensors = found.get((stem, chain.shared), sample.tensors)
        first = chain.shared + 1 if (stem, chain.shared) in found else 0
        for index in range(first, len(chain.segments)):
            tensors = chain.run(tensors, index, index).tensors
            found[name, index] = tensors
    return found


class Judge:
    """Compares the answers of arms with the reference's, for the samples whose tensors are in `alive`."""

    def __init__(self, task: Task, chains: Mapping[str, Chain], alive: Alive, crossings: Sequence[Crossing]) -> None:
        self._task, self._chains, self._alive = task, chains, alive
        self._crossings = crossings

    def outputs(self, model: str, sample: int) -> Tensors:
        """The model's own answer."""
        return self._alive[model, len(self._chains[model].segments) - 1][sample]

    def arms(self, models_by_codec: Callable[[str], Sequence[str]]) -> list[tuple[str, str, Crossing | None]]:
        """(arm, model, crossing or None) of all arms; `models_by_codec` names the models tried with an input codec. Arms of two
        precisions are in `mixed`."""
        found: list[tuple[str, str, Crossing | None]] = [(local_name(name), name, None) for name in self._chains]
        for crossing in self._crossings:
            models = models_by_codec(crossing.codec.name) if crossing.joint == RAW_SAMPLE else (crossing.model,)
            found += [(arm_name(model, crossing.joint, crossing.codec.name), model, crossing) for model in models]
        return found

    def mixed(self) -> list[tuple[str, str, Crossing | None]]:
        """The same of the arms whose head a copy in another precision runs."""
        found: list[tuple[str, str, Crossing | None]] = []
        for copy in self._task.models:
            model = copy.precision_of
            places = [each for each in self._crossings if model and each.model == model and each.joint > 0]
            found += [(mixed_name(copy.name, model, each.joint, each.codec.name), model, each) for each in places]
        return found

    def prefixes(self, arms: Sequence[tuple[str, str, Crossing | None]]) -> list[tuple[str, str, Crossing | None]]:
        """The same of those of these arms that can be answered from a part of what they send, for each share judged."""
        layered = [each for each in arms if each[2] is not None and progressive(each[2].codec)]
        return [
            (prefix_name(name, share), model, crossing) for name, model, crossing in layered for share in PREFIX_SHARES
        ]

    def judge(
        self, arms: Sequence[tuple[str, str, Crossing | None]], count: int, *, end_s: float, samples_min: int
    ) -> tuple[dict[str, Agreement], int]:
        """Agreement per arm over the first samples, as many of `count` as `end_s` allows, and how many those were."""
        rows: list[list[bool]] = []
        workers = usable_cores()
        with ThreadPoolExecutor(workers) as pool:
            for group in _groups(range(count), workers):
                if len(rows) >= samples_min and time.monotonic() >= end_s:
                    break
                rows += pool.map(lambda sample: [self._agrees(*arm, sample) for arm in arms], group)
        columns = list(zip(*rows, strict=True))
        found = {}
        for (name, _, _), column in zip(arms, columns, strict=True):
            text = "".join("1" if each else "0" for each in column)
            found[name] = Agreement(round(sum(column) / len(column), 4), text)
        return found, len(rows)

    def _agrees(self, arm: str, model: str, crossing: Crossing | None, sample: int) -> bool:
        reference = self.outputs(self._task.reference, sample)
        if crossing is None or crossing.codec.name == RAW:
            return model == self._task.reference or self._task.agrees(self.outputs(model, sample), reference)
        codec = crossing.codec_for(sample)
        arm, _, share = arm.partition("|")
        head = arm.removeprefix("split:").partition(">")[0] if ">" in arm else crossing.model
        payload = codec.encode(self._alive[head, crossing.joint][sample])
        if share:
            part = self._first_part(codec, payload, float(share), crossing)
            if part is None:
                return False
            received = part
        else:
            received = codec.decode(payload, limits=LIMITS)
        answer = self._chains[model].run(received, crossing.joint + 1).tensors
        return self._task.agrees(answer, reference)

    def _first_part(self, codec: Codec, payload: bytes, share: float, crossing: Crossing) -> Tensors | None:
        """What the other side would compute from: up to the first cut from that share on, else the last one before it."""
        layered = progressive(codec)
        ends = layered.prefix_ends(payload) if layered else ()
        if layered is None or not ends:
            return None
        end = next((each for each in ends if each >= share * len(payload)), ends[-1])
        expected = self._chains[crossing.model].joint(crossing.joint)
        part = layered.decode_prefix(payload[:end], limits=LIMITS, expected=expected)
        return None if part is None else part.tensors


def _groups(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
