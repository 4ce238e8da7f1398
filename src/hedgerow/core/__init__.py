"""Every decision and nothing else: no socket, thread, clock or randomness of its own.

Read in this order: records (what goes in and out), arms (what can be done, as a matrix), beliefs (what is expected),
lanes (the calendar that keeps the deadline), breaker and budgets (when not to ask), policies (which arm), flight (one
request on its way) and core (the one door, `step`).
"""

from hedgerow.core.arms import Arm, ArmTable, CrossStep, Energy, GateStep, LocalModel, RunStep
from hedgerow.core.core import Core
from hedgerow.core.records import Criticality, Limits, Margins, Outcome, Prices, Stream

__all__ = [
    "Arm", "ArmTable", "Core", "Criticality", "CrossStep", "Energy", "GateStep", "Limits", "LocalModel", "Margins",
    "Outcome", "Prices", "RunStep", "Stream",
]  # fmt: skip
