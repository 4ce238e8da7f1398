"""`hedgerow plan` as typed: what it prints and refuses."""

import json
from pathlib import Path

import pytest

from hedgerow.planning import arm_table, margins_of, plan
from hedgerow.profiling import Profile, make_profile
from tests.cli.typed import Ended, hedgerow
from tests.profiling.tasks import picture_task, pictures


def run(*arguments: str | Path) -> Ended:
    return hedgerow("plan", *arguments)


@pytest.fixture(scope="module")
def profile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    make_profile(picture_task(folder), pictures(12), seconds=1.0, quick=True).save(folder / "p.json")
    return folder / "p.json"


def test_it_prints_the_arms_the_choice_and_its_reason(profile_file: Path) -> None:
    ended = run(profile_file, "--uplink-mbps", "20", "--rtt-ms", "30")
    assert ended.returncode == 0, ended.stderr
    profile = Profile.load(profile_file)
    table = arm_table(profile)
    made = plan(table, 20.0, 30.0, margins=margins_of(profile))
    for part in (f"chosen: {made.chosen}", "least_expected_cost", "reserve:", "uplink", "round trip", "estimated"):
        assert part in ended.stdout
    for arm in table.arms:
        assert arm.name in ended.stdout


def test_json_is_one_object_that_says_the_same(profile_file: Path) -> None:
    ended = run(profile_file, "--uplink-mbps", "20", "--rtt-ms", "30", "--json", "--device-factor", "5")
    found = json.loads(ended.stdout)
    profile = Profile.load(profile_file)
    made = plan(arm_table(profile, device_factor=5.0), 20.0, 30.0, margins=margins_of(profile))
    assert found["chosen"] == made.chosen
    assert [arm["name"] for arm in found["arms"]] == [arm.name for arm in made.arms]
    assert found["emulated"].startswith("emulated device")
    assert found["cloud_estimated"] is True


def test_another_policys_choice_is_shown(profile_file: Path) -> None:
    ended = run(profile_file, "--uplink-mbps", "20", "--rtt-ms", "30", "--json", "--policy", "device-only")
    found = json.loads(ended.stdout)
    table = arm_table(Profile.load(profile_file))
    made = plan(table, 20.0, 30.0, margins=margins_of(Profile.load(profile_file)), policy="device-only")
    assert found["chosen"] == made.chosen
    assert str(found["chosen"]).startswith("local:") or found["chosen"] is None
    helped = "".join(
        each for each in run("--help").stdout if not each.isspace() and each != "│"
    )  # however it is wrapped
    assert all(name in helped for name in ("device-only", "neurosurgeon-energy", "only:ARM"))


def test_a_slower_device_is_labelled_as_emulated(profile_file: Path) -> None:
    ended = run(profile_file, "--uplink-mbps", "20", "--rtt-ms", "30", "--device-factor", "5")
    assert "emulated device: this processor's median segment times x 5" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--uplink-mbps", "0", "--rtt-ms", "30"), "uplink"),
        (("--uplink-mbps", "5", "--rtt-ms", "-1"), "round trip"),
        (("--uplink-mbps", "5", "--rtt-ms", "3", "--deadline-ms", "0"), "deadline"),
        (("--uplink-mbps", "5", "--rtt-ms", "3", "--device-factor", "0.2"), "factor"),
        (("--uplink-mbps", "5", "--rtt-ms", "3", "--cloud-factor", "0"), "factor"),
        (("--uplink-mbps", "5"), "rtt-ms"),
        (("--uplink-mbps", "5", "--rtt-ms", "3", "--policy", "hope"), "no policy 'hope'; there are: ans"),
        (("--uplink-mbps", "5", "--rtt-ms", "3", "--policy", "only:hope"), "no arm 'hope'; there are: local:"),
    ],
)
def test_figures_that_cannot_be_are_refused(profile_file: Path, arguments: tuple[str, ...], word: str) -> None:
    ended = run(profile_file, *arguments)
    assert ended.returncode == 2
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_no_profile_is_refused(tmp_path: Path, profile_file: Path) -> None:
    cut = tmp_path / "cut.json"
    cut.write_bytes(profile_file.read_bytes()[:500])
    for path, word in ((cut, "not a whole profile"), (tmp_path / "missing.json", "no profile"), (tmp_path, "folder")):
        ended = run(path, "--uplink-mbps", "5", "--rtt-ms", "3")
        assert ended.returncode == 2
        assert word in ended.stderr
