"""Arms with gates, composed of what a profile measured sample by sample: exits that go on, small models that ask bigger ones.

Names, of gated models S1,S2 in the order in which they answer:

    exit:TRUNK@S1,S2            exits of a trunk (all prefixes of those with a gate), then the rest of the trunk
    cascade:S1,S2>cloud:BIG:CODEC       who is unsure sends the raw sample to a bigger model
    cascade:S1,S2>split:TRUNK@J:CODEC   the last is an exit behind joint J of the trunk: its tensors there are sent

What answers a sample is the first whose confidence reaches its gate, else the end; so an arm's quality and the share that each
gate stops are counted over the profile's samples, never multiplied from means. Both are shrunk as in planning/arms.py.
`crossing_part` and `bits` say of a composed arm which measured arm answers from afar, and which samples agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hedgerow.core.arms import Arm, CrossStep, GateStep, LocalModel, RunStep, Step
from hedgerow.profiling.agreement import local_name
from hedgerow.profiling.profile import Profile

CASCADE = "cascade:"
EXIT = "exit:"


@dataclass(frozen=True, slots=True)
class _Chain:
    """Gated models in the order in which they answer; `end`: the joint up to which kin of the last have come, -1: none."""

    models: tuple[LocalModel, ...]
    trunk: LocalModel

    @property
    def end(self) -> int:
        last = self.models[-1]
        return last.shared if last.trunk else -1


def shrunk(agreeing: int, samples: int) -> float:
    """What to expect of the next sample: the mean under Jeffreys' prior."""
    return (agreeing + 0.5) / (samples + 1)


def crossing_part(arm: str) -> str:
    """The profile's name of what answers from afar in this arm: itself, or what stands behind the gates of a cascade; "" for none."""
    if arm.startswith(CASCADE):
        return arm.partition(">")[2]
    return "" if arm.startswith((EXIT, "local:")) else arm


def encoder_of(arm: str) -> str:
    """The measured arm whose crossing this one's is, head and precision aside; "" for none."""
    part = crossing_part(arm)
    return f"split:{part.partition('>')[2]}" if ">" in part else part


def gates_of(profile: Profile, gates: Mapping[str, float | None] | None = None) -> dict[str, float]:
    """The gate of each model that has one: as `gates` (a task's present ones) say, else as measured."""
    found = {model.name: model.gate for model in profile.models} if gates is None else dict(gates)
    known = {model.name for model in profile.models if None not in model.confidence}
    return {name: gate for name, gate in found.items() if gate is not None and name in known}


def bits(profile: Profile, arm: str, gates: Mapping[str, float]) -> str:
    """ "1" or "0" for each of the profile's samples: whether this arm, measured or composed, gives the reference's answer."""
    if arm in profile.agreement:
        return profile.agreement[arm].per_sample
    trunk, _, exits = arm.removeprefix(EXIT).partition("@")
    if arm.startswith(EXIT):
        return _composed(profile, exits.split(","), local_name(trunk), gates)[0]
    models, _, end = arm.removeprefix(CASCADE).partition(">")
    return _composed(profile, models.split(","), end, gates)[0]


def composed_arms(
    profile: Profile, gates: Mapping[str, float], locals_: Sequence[LocalModel], measured: Sequence[Arm]
) -> list[Arm]:
    """Every gated arm that the measured ones and these gates give."""
    found: list[Arm] = []
    kin = {model.name for model in locals_ if model.trunk or model.precision_of}
    for chain in _chains(locals_, gates):
        names = [model.name for model in chain.models]
        listed = ",".join(names)
        if chain.models[-1] is not chain.trunk:
            rest = (_run(chain.trunk, chain.end + 1),)
            found.append(
                _arm(profile, f"{EXIT}{chain.trunk.name}@{listed}", chain, local_name(chain.trunk.name), rest, gates)
            )
        for arm in measured:
            steps = _behind(arm, chain, kin)
            if steps:
                found.append(_arm(profile, f"{CASCADE}{listed}>{arm.name}", chain, arm.name, steps, gates))
    return found


def _chains(locals_: Sequence[LocalModel], gates: Mapping[str, float]) -> list[_Chain]:
    """Of every trunk: each prefix of its gated exits, alone and with the trunk itself where that has a gate too."""
    found = []
    for trunk in locals_:
        if trunk.trunk:
            continue
        exits = [
            each for each in locals_ if each.trunk == trunk.name and each.name in gates and each.lane == trunk.lane
        ]
        exits.sort(key=lambda each: (each.shared, each.last))
        deeper = [each for place, each in enumerate(exits) if not place or each.shared > exits[place - 1].shared]
        prefixes = [(), *accumulate((each,) for each in deeper)]
        found += [_Chain(prefix, trunk) for prefix in prefixes if prefix]
        found += [_Chain((*prefix, trunk), trunk) for prefix in prefixes if trunk.name in gates]
    return found


def _behind(arm: Arm, chain: _Chain, kin: set[str]) -> tuple[Step, ...]:
    """The steps of a measured arm as they go on behind these gates; none where that makes no sense."""
    crossing = next((place for place, step in enumerate(arm.steps) if isinstance(step, CrossStep)), None)
    if crossing is None:
        return ()
    model, joint = arm.sends(crossing)
    behind = tuple(_whole_only(step) for step in arm.steps[crossing:])
    if joint < 0:
        last = chain.models[-1].name
        return behind if model != last and model not in kin else ()
    head = arm.steps[0]
    at_joint = isinstance(head, RunStep) and head.model == chain.trunk.name and joint == chain.end
    return behind if at_joint and chain.models[-1] is not chain.trunk else ()


def _whole_only(step: Step) -> Step:
    """Behind a gate come the samples that are hard: what answers from a first part agree in was measured over all of them."""
    return replace(step, prefixes=()) if isinstance(step, CrossStep) and step.prefixes else step


def _arm(
    profile: Profile, name: str, chain: _Chain, end: str, rest: tuple[Step, ...], gates: Mapping[str, float]
) -> Arm:
    names = [model.name for model in chain.models]
    agrees, stops = _composed(profile, names, end, gates)
    steps: list[Step] = []
    first, reached = 0, len(agrees)
    for model, stopped in zip(chain.models, stops, strict=True):
        steps += [_run(model, first), GateStep(gates[model.name], round(shrunk(stopped, reached), 6))]
        first, reached = (model.shared + 1 if model.trunk else 0), reached - stopped
    quality = round(shrunk(agrees.count("1"), len(agrees)), 6)
    return Arm(name, (*steps, *rest), quality)


def _run(model: LocalModel, first: int) -> RunStep:
    return RunStep("device", model.name, first, model.last, model.tail_median_ns[first], model.lane)


def _composed(profile: Profile, models: Sequence[str], end: str, gates: Mapping[str, float]) -> tuple[str, list[int]]:
    """Which samples agree, and how many stop at each gate."""
    sure = [profile.model(name).confidence for name in models]
    own = [profile.agreement[local_name(name)].per_sample for name in models]
    last = profile.agreement[end].per_sample
    agrees, stops = [], [0] * len(models)
    for sample in range(len(profile.samples)):
        place = next((at for at, name in enumerate(models) if (sure[at][sample] or 0.0) >= gates[name]), None)
        if place is not None:
            stops[place] += 1
        agrees.append(last[sample] if place is None else own[place][sample])
    return "".join(agrees), stops
