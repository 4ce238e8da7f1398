"""Which models of a task belong together: branches that go on from a trunk's joint, and copies in another precision.

A branch's segments up to its joint are the trunk's own, so tensors there are the same tensors. A copy in another precision has
the same joints with tensors of the same kind, so one may go on where the other stopped, with a slightly other result. Rules,
checked when a task is made, each naming model and key: a trunk is no branch itself; a branch has no preparation of its own;
the trunk keeps the joint named by `after`; a branch's file takes what is alive there; a copy keeps the same joints.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hedgerow.errors import UsageError
from hedgerow.models.chain import alike, check_branch
from hedgerow.models.facts import joint_facts
from hedgerow.models.tensors import TensorSpec

if TYPE_CHECKING:
    from hedgerow.models.task import TaskModel

Joints = tuple[tuple[str, tuple[TensorSpec, ...]], ...]


def check_kin(models: Sequence["TaskModel"]) -> None:
    """UsageError unless trunks, joints, precisions and gates are as the module's docstring says."""
    named = {model.name: model for model in models}
    for model in models:
        if model.gate is not None and not 0.0 < model.gate <= 1.0:
            raise UsageError(f"model '{model.name}': 'gate' must be above 0 and at most 1, not {model.gate:g}")
        if model.temperature is not None and not 0.0 < model.temperature < 1e6:
            raise UsageError(f"model '{model.name}': 'temperature' must be above 0, not {model.temperature:g}")
        if bool(model.trunk) != bool(model.after):
            missing = "after" if model.trunk else "trunk"
            raise UsageError(f"model '{model.name}': a branch has both 'trunk' and 'after'; '{missing}' is missing")
        if model.trunk:
            _check_branch(model, _named(named, model, "trunk", model.trunk))
        if model.precision_of:
            _check_precision(model, _named(named, model, "precision_of", model.precision_of))


def kept_joints(model: "TaskModel", named: Mapping[str, "TaskModel"]) -> Joints:
    """(name, tensors) of the joints that its chain keeps, by depth: of a branch the trunk's up to its own, then its own."""
    own = joint_facts(model.path, model.joints) if model.joints else ()
    if not model.trunk:
        return own
    shared: list[tuple[str, tuple[TensorSpec, ...]]] = []
    for joint in kept_joints(named[model.trunk], named):
        shared.append(joint)
        if same_joint(joint[0], model.after):
            break
    return (*shared, *own)


def same_joint(one: str, other: str) -> bool:
    """How a cut's tensors are listed does not matter."""
    return set(one.split("+")) == set(other.split("+"))


def _named(named: Mapping[str, "TaskModel"], model: "TaskModel", key: str, name: str) -> "TaskModel":
    found = named.get(name)
    if found is None or found is model:
        others = ", ".join(each for each in named if each != model.name) or "none"
        raise UsageError(
            f"model '{model.name}': '{key}' names '{name}', which is no other model of the task ({others})"
        )
    return found


def _check_branch(model: "TaskModel", trunk: "TaskModel") -> None:
    if trunk.trunk:
        raise UsageError(
            f"model '{model.name}': 'trunk' names '{trunk.name}', which is a branch itself; name its trunk '{trunk.trunk}'"
        )
    if model.preparation != trunk.preparation:
        raise UsageError(f"model '{model.name}': a branch has no 'preparation' of its own: it is its trunk's")
    if not any(same_joint(joint, model.after) for joint in trunk.joints):
        kept = ", ".join(trunk.joints) or "none"
        raise UsageError(
            f"model '{model.name}': 'after' names '{model.after}', but '{trunk.name}' keeps the joints {kept};"
            " add it to the 'joints' of the trunk"
        )
    alive = next(tensors for name, tensors in joint_facts(trunk.path, trunk.joints) if same_joint(name, model.after))
    try:
        check_branch(model.inputs, alive, model.after)
    except UsageError as error:
        raise UsageError(f"model '{model.name}': 'file' does not go on from '{trunk.name}': {error}") from error


def _check_precision(model: "TaskModel", other: "TaskModel") -> None:
    where = f"model '{model.name}': 'precision_of' names '{other.name}'"
    if model.trunk or other.trunk or other.precision_of:
        raise UsageError(f"{where}: neither may be a branch, nor the other a copy itself")
    if model.preparation != other.preparation:
        raise UsageError(f"{where}, which is prepared in another way: give both the same 'preparation'")
    mine, theirs = (joint_facts(each.path, each.joints) if each.joints else () for each in (model, other))
    if len(mine) != len(theirs) or not all(same_joint(a[0], b[0]) for a, b in zip(mine, theirs, strict=True)):
        raise UsageError(
            f"{where}, but keeps other joints ({', '.join(model.joints) or 'none'}) than that ({', '.join(other.joints) or 'none'})"
        )
    for (name, here), (_, there) in zip(mine, theirs, strict=True):
        specs = {spec.name: spec for spec in there}
        if specs.keys() != {spec.name for spec in here} or not all(alike(spec, specs[spec.name]) for spec in here):
            raise UsageError(
                f"{where}, but has other tensors at joint '{name}': precision can only change where they are alike"
            )
