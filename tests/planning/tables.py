"""Random small arm tables: one or two local models, and remote arms of every shape over them."""

from hypothesis import strategies as st

from hedgerow.core.arms import Arm, ArmTable, CrossStep, LocalModel, RunStep
from hedgerow.core.records import MS

QUALITIES = st.sampled_from((0.5, 0.8, 0.9, 0.95, 1.0))
TIMES_MS = st.sampled_from((0, 1, 2, 5, 10, 20, 40))
SIZES = st.sampled_from((100, 1_000, 5_000, 20_000, 100_000))


@st.composite
def local_models(draw: st.DrawFn, name: str) -> LocalModel:
    """Two to four segments with bounds above their medians."""
    medians = draw(st.lists(TIMES_MS, min_size=2, max_size=4))
    medians_ns = tuple((each + 1) * MS for each in medians)
    bounds = tuple(round(each * 1.5) for each in medians_ns)
    tails = tuple(sum(medians_ns[at:]) for at in range(len(medians)))
    tail_bounds = tuple(sum(bounds[at:]) for at in range(len(medians)))
    return LocalModel(name, "cpu", draw(QUALITIES), medians_ns, bounds, tails, tail_bounds)


@st.composite
def remote_arms(draw: st.DrawFn, name: str, models: tuple[LocalModel, ...]) -> Arm:
    """The raw sample to the cloud, or a split at some joint."""
    model = draw(st.sampled_from(models))
    joint = draw(st.integers(-1, model.last - 1))
    encode = draw(TIMES_MS) * MS // 4 + 1
    cross = CrossStep("cloud", name, draw(SIZES), encode, 2 * encode, decode_ns=draw(TIMES_MS) * MS // 8)
    beyond = RunStep("cloud", model.name, joint + 1, model.last, draw(TIMES_MS) * MS)
    head = (RunStep("device", model.name, 0, joint, sum(model.segment_median_ns[: joint + 1])),) if joint >= 0 else ()
    return Arm(name, (*head, cross, beyond), draw(QUALITIES))


@st.composite
def tables(draw: st.DrawFn, arms_max: int = 10) -> ArmTable:
    """Every local model's own arm, and up to `arms_max` remote ones."""
    names = draw(st.sampled_from((("a",), ("a", "b"))))
    models = tuple(draw(local_models(name)) for name in names)
    arms = [
        Arm(f"local:{each.name}", (RunStep("device", each.name, 0, each.last, each.tail_median_ns[0]),), each.quality)
        for each in models
    ]
    count = draw(st.integers(0, arms_max))
    arms += [draw(remote_arms(f"r{index}", models)) for index in range(count)]
    return ArmTable(tuple(arms), models, money_per_mb=draw(st.sampled_from((0.0, 0.01))))
