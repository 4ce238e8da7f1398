"""From a profile to the table of arms, and from a table to what would be chosen on a given link, and why."""

from hedgerow.planning.arms import arm_table, every_arm

__all__ = ["arm_table", "every_arm"]
