"""Arms whose payload can be answered from a part: made of a real profile, kept beside those that need fewer bytes, not behind gates."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from hedgerow.core import ArmTable, CrossStep
from hedgerow.models.task import Task
from hedgerow.planning import every_arm
from hedgerow.planning.composing import shrunk
from hedgerow.planning.prune import footprints, undominated
from hedgerow.profiling import Profile, make_profile
from hedgerow.profiling.agreement import PREFIX_SHARES, prefix_name
from hedgerow.profiling.profile import Agreement
from tests.core.test_policies_expecting import BARE, TABLE
from tests.wire.latents import CODEC, JOINT, frame, latent_task

ARM = f"split:latent@{JOINT}:{CODEC}"
WHOLE = f"split:latent@{JOINT}:ints:channel"


@pytest.fixture(scope="module")
def latent(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return latent_task(tmp_path_factory.mktemp("latent"))


@pytest.fixture(scope="module")
def made(latent: Task) -> Profile:
    return make_profile(latent, [{"x": frame(seed)} for seed in range(16)], quick=True)


def crossing(table: ArmTable, name: str) -> CrossStep:
    (found,) = (arm.crossing for arm in table.arms if arm.name == name)
    assert found is not None
    return found


def test_a_profile_says_what_answers_from_a_part_agree_in(latent: Task, made: Profile, tmp_path: Path) -> None:
    found = crossing(every_arm(made, latent), ARM).prefixes
    count = len(made.samples)
    assert found == tuple(
        (share, round(shrunk(made.agreement[prefix_name(ARM, share)].count, count), 6)) for share in PREFIX_SHARES
    )
    assert crossing(every_arm(made, latent), WHOLE).prefixes == ()
    made.save(tmp_path / "profile.json")
    assert Profile.load(tmp_path / "profile.json") == made


def test_neither_the_shorter_payload_nor_the_layered_one_is_dominated() -> None:
    assert undominated(footprints(TABLE))[1:].tolist() == [True, True]
    assert undominated(footprints(BARE))[1:].tolist() == [False, True]  # more bytes for nothing


def test_a_profile_of_before_knows_of_no_parts(latent: Task, made: Profile) -> None:
    old = replaced(made, {name: each for name, each in made.agreement.items() if "|" not in name})
    assert crossing(every_arm(old, latent), ARM).prefixes == ()


def test_behind_a_gate_it_is_all_or_nothing(latent: Task, made: Profile) -> None:
    gated = replaced(made, made.agreement, gate=0.5)
    cascades = [arm for arm in every_arm(gated).arms if arm.name.startswith("cascade:") and arm.name.endswith(CODEC)]
    for arm in cascades:
        assert arm.crossing is not None
        assert arm.crossing.prefixes == ()


def replaced(profile: Profile, agreement: Mapping[str, Agreement], gate: float | None = None) -> Profile:
    models = tuple(
        msgspec.structs.replace(each, gate=gate if each.name == "small" else None) for each in profile.models
    )
    return msgspec.structs.replace(profile, agreement=dict(agreement), models=models)
