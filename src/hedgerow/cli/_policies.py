"""The words for `--policy`, said alike by every verb that takes one.

A test holds them to `hedgerow.core.policies.names()`; the list itself would have to import what `--help` should not wait for.
"""

NAMES = (
    "ans",
    "cloud-only",
    "dads",
    "device-only",
    "exploring",
    "exploring-more",
    "hedgerow",
    "learned",
    "neurosurgeon",
    "neurosurgeon-energy",
    "spinn",
)
POLICY_HELP = f"Who chooses the arm: {', '.join(NAMES)}, or only:ARM for one arm alone (docs/policies.md)."
