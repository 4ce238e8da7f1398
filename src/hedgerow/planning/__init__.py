"""From a profile to the table of arms, and from a table to what would be chosen on a given link, and why."""

from hedgerow.planning.arms import arm_table, every_arm
from hedgerow.planning.composing import bits, crossing_part, gates_of
from hedgerow.planning.plan import Plan, plan
from hedgerow.planning.settings import calibrations, margins_of

__all__ = [
    "Plan", "arm_table", "bits", "calibrations", "crossing_part", "every_arm", "gates_of", "margins_of", "plan",
]  # fmt: skip
