"""Leaving models and arms out, so that two worlds differ in nothing but what may be chosen.

Rules: a pattern is of a whole name, as a shell's (`*`, `?`, `[...]`); a model whose name matches is not there at all, neither as an
arm nor in reserve, and neither are its branches; an arm whose name matches is not offered, its models stay; a pattern that matches nothing is refused, for it
is a slip of the pen; the reference stays, and so does one model.
"""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from hedgerow.core.arms import ArmTable
from hedgerow.errors import UsageError
from hedgerow.planning.prune import subset
from hedgerow.profiling.profile import Profile


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the whole name is as one of the patterns says."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def models_left(profile: Profile, patterns: Sequence[str], only: Sequence[str] = ()) -> Profile:
    """The profile without the models whose names match `patterns`, or match none of `only` if that names any; UsageError where the
    reference would go."""
    named = {
        model.name
        for model in profile.models
        if matches(model.name, patterns) or (only and not matches(model.name, only))
    }
    gone = [model.name for model in profile.models if model.name in named or model.trunk in named]
    if not gone:
        return profile
    if profile.reference in gone:
        raise UsageError(f"'{profile.reference}' is left out, with which all answers are compared")
    return replace(
        profile,
        models=tuple(model for model in profile.models if model.name not in gone),
        crossings=tuple(each for each in profile.crossings if each.model not in gone),
        agreement={name: each for name, each in profile.agreement.items() if not _of(name, gone)},
        cloud=replace(profile.cloud, segments_ns={k: v for k, v in profile.cloud.segments_ns.items() if k not in gone}),
    )


def _of(arm: str, models: Collection[str]) -> bool:
    """Whether an arm is one of these models', or its head or tail is."""
    return any(
        arm == f"local:{name}"
        or arm.startswith((f"cloud:{name}:", f"split:{name}@", f"split:{name}>"))
        or (arm.startswith("split:") and f">{name}@" in arm)
        for name in models
    )


def arms_left(table: ArmTable, patterns: Sequence[str]) -> ArmTable:
    """The table without the arms whose names match; UsageError where none would be left."""
    kept = [column for column, arm in enumerate(table.arms) if not matches(arm.name, patterns)]
    if not kept:
        raise UsageError(f"without = [...] leaves no arm: {', '.join(patterns)} match all {len(table.arms)}")
    return table if len(kept) == len(table.arms) else subset(table, kept)


def check(profile: Profile, table: ArmTable, patterns: Sequence[str], only: Sequence[str] = ()) -> None:
    """UsageError for a pattern that matches no model of the whole profile and, of `patterns`, none of its arms."""
    models = [model.name for model in profile.models]
    names = models + [arm.name for arm in table.arms]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"without = [...]: '{pattern}' matches no model and no arm; models: {', '.join(models)}")
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in models):
            raise UsageError(f"models = [...]: '{pattern}' matches no model; there are {', '.join(models)}")
