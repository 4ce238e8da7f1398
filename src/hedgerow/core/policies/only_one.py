"""One arm and no other: the fixed choices (each cut, JPEG to the cloud), behind the same reserve as any other's.

Idea     what is shipped when somebody measured once and wrote the winner into the configuration.
Formula  the arm, whenever it is admissible; otherwise the core's own local plan.
Source   DESIGN.md section 5: the best of these in hindsight is what an adaptive policy has to beat.
Fails    whenever the link is not the one that was measured; an arm that the table lacks is never admissible.

Not found by its module but by its name, "only:ARM": `by_name("only:local:small")`.

>>> from hedgerow.core.policies import by_name
>>> by_name("only:cloud:big:jpeg:75").arm
'cloud:big:jpeg:75'
"""

from dataclasses import dataclass

from hedgerow.core.policies import ONLY, Choice, View
from hedgerow.core.policies.expecting import chosen


@dataclass(frozen=True)
class OnlyOne:
    arm: str
    uses_reserve: bool = True

    @property
    def name(self) -> str:
        """Which gives it back by `by_name`, from a journal too."""
        return ONLY + self.arm

    def choose(self, view: View) -> Choice | None:
        """The arm if it is there and admissible, else None."""
        column = next((place for place, arm in enumerate(view.table.arms) if arm.name == self.arm), None)
        if column is None or not view.admissible[column]:
            return None
        return chosen(view, column)
