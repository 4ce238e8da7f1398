"""The arms that a published partitioner of one network would choose between, found in an arm table.

They cut one network at one place: everything on the device, everything in the cloud (the input crosses), or a head here and a
tail there. The network is the table's most accurate model. The papers send what is alive uncompressed and lose nothing;
a table offers several codecs at a joint. `faithful` keeps of each joint the arms whose calibrated agreement is within 0.02 of
that joint's best: the reading that favours the paper, for a cheaper crossing at the same answer can only help it.
"""

import numpy as np

from hedgerow.core.arms import ArmTable, CrossStep, Flags, RunStep

AS_GOOD = 0.02
RAW_SAMPLE, WHOLE = -1, 1 << 30  # the joint of an arm that sends its input, and of one that sends nothing


def network(table: ArmTable) -> str:
    """The model that is cut: the most accurate that the device could run; of equals the first."""
    return max(table.locals, key=lambda model: model.quality).name


def joint_of(table: ArmTable, column: int) -> int | None:
    """Where this arm cuts its network; None if it is no plain cut (a gate, two crossings, another model's head)."""
    steps = table.arms[column].steps
    match steps:
        case (RunStep(tier="device", first=0) as whole,) if whole.last == table.local(whole.model).last:
            return WHOLE
        case (CrossStep(), RunStep(first=0)):
            return RAW_SAMPLE
        case (RunStep(tier="device", first=0) as head, CrossStep(), RunStep() as tail):
            return head.last if (head.model, head.last + 1) == (tail.model, tail.first) else None
        case _:
            return None


class Splits:
    """`faithful` (arms,): the arms of `network` as above. Made once a table and not pickled: it says nothing that is learned."""

    def __init__(self) -> None:
        self._table: ArmTable | None = None
        self._faithful: Flags = np.zeros(0, dtype=np.bool_)

    def faithful(self, table: ArmTable) -> Flags:
        if table is not self._table:
            self._table, self._faithful = table, faithful(table)
        return self._faithful

    def __reduce__(self) -> tuple[type["Splits"], tuple[()]]:
        return Splits, ()


def faithful(table: ArmTable) -> Flags:
    """(arms,): plain cuts of `network`, at each joint those that agree about as often as that joint's best."""
    name, joints = network(table), [joint_of(table, column) for column in range(len(table.arms))]
    best: dict[int, float] = {}
    for arm, joint in zip(table.arms, joints, strict=True):
        if joint is not None and arm.model == name:
            best[joint] = max(arm.quality, best.get(joint, 0.0))
    kept = [
        joint is not None and arm.model == name and arm.quality >= best[joint] - AS_GOOD
        for arm, joint in zip(table.arms, joints, strict=True)
    ]
    return np.array(kept, dtype=np.bool_)
