"""Scenario files: what is refused, with a word that says where; what is swept; what ships."""

from pathlib import Path

import pytest

from hedgerow.core import Criticality
from hedgerow.core.records import MS
from hedgerow.errors import UsageError
from hedgerow.simulation import scenario

GROUP = '[[group]]\nname = "all"\nradios = [""]\ndeadlines_ms = [100]\ndevice_factors = [1]\n'
PLAIN = 'format = 1\nname = "small"\n' + GROUP


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        scenario.parse(text, name="mine.toml")
    assert "mine.toml" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(scenario.shipped()))
def test_what_ships_is_read_and_its_profile_is_there(name: str) -> None:
    found = scenario.load(name)
    assert found.name == name
    assert found.load_profile().models


def test_a_scenario_needs_only_a_name_and_a_group() -> None:
    found = scenario.parse(PLAIN, name="mine.toml")
    (stream,) = found.streams()
    sensor = stream.sensor(50.0, 30.0)
    assert (sensor.name, sensor.period_ns, sensor.deadline_ns) == ("camera", 50 * MS, 30 * MS)
    assert sensor.criticality is Criticality.MISSION
    assert found.price[0].prices().disagreement_mj == 2000.0
    assert scenario.span_ns(found, found.group[0]) == 60_000 * MS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PLAIN.replace("name = ", "nmae = ", 1), "nmae"),
        ('where = "/tmp"\n' + PLAIN, "where"),
        (PLAIN + "[cloud]\nfaktor = 2\n", "faktor"),
        (PLAIN.replace("[100]", '["100"]'), "deadlines_ms"),
        (PLAIN.replace("[100]", "100"), "deadlines_ms"),
        (PLAIN.replace("[100]", "[-1]"), "deadlines_ms"),
        (PLAIN.replace("[100]", "[]"), "deadlines_ms"),
        (PLAIN.replace('"small"', "7"), "name"),
        (PLAIN.replace('"small"', '"a/b"'), "name"),
        (PLAIN.replace("format = 1", "format = 2"), "format 2"),
        (PLAIN.replace("format = 1\n", ""), "format"),
        (PLAIN.replace("format = 1", 'format = "1"'), "format '1'"),
        (PLAIN.replace(GROUP, ""), "group"),
        (PLAIN + GROUP, "two groups"),
        (PLAIN + '[[stream]]\nname = "a"\n[[stream]]\nname = "a"\n', "two streams"),
        (PLAIN + '[[stream]]\nname = "a"\ncriticality = "vital"\n', "vital"),
        (PLAIN + '[[stream]]\nname = "a"\nkind = "often"\n', "often"),
        (PLAIN + '[[stream]]\nname = "a"\njitter_ms = 100\n', "jitter"),
        (PLAIN + "[[price]]\ndisagreement_mj = nan\n", "disagreement_mj"),
        (PLAIN + "[[price]]\ndisagreement_mj = inf\n", "disagreement_mj"),
        (PLAIN + "[[price]]\nreserve_mj = -1\n", "reserve_mj"),
        (PLAIN + "[device]\nneighbour_busy_s = 1\n", "neighbour"),
        (PLAIN + "[cloud]\nreplicas = 0\n", "replicas"),
        ("seconds = 0.05\n" + PLAIN, "longer than the world"),
        ("seconds = true\n" + PLAIN, "seconds"),
        (PLAIN + "[[price]\n", "line"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, says: str) -> None:
    assert says in refused(text)


def test_too_many_combinations_are_refused() -> None:
    many = ", ".join(str(place + 1) for place in range(16))
    groups = [
        GROUP.replace('"all"', f'"g{place}"').replace("[100]", f"[{many}]").replace("[1]", f"[{many}]")
        for place in range(50)
    ]
    assert "12800 combinations" in refused('format = 1\nname = "vast"\n' + "".join(groups))


def test_a_file_that_is_not_there_a_folder_and_no_text_are_told_apart(tmp_path: Path) -> None:
    for bad, says in ((tmp_path / "none.toml", "standard"), (tmp_path, "--links"), (tmp_path / "picture", "UTF-8")):
        if bad.name == "picture":
            bad.write_bytes(b"\xff\xfe\x00\xd8")
        with pytest.raises(UsageError, match=says):
            scenario.load(bad)
    huge = tmp_path / "huge.toml"
    huge.write_text("#" * (scenario.FILE_BYTES_MAX + 1))
    with pytest.raises(UsageError, match="larger"):
        scenario.load(huge)


def test_a_profile_is_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('profile = "mine.json"\n' + PLAIN)
    (tmp_path / "mine.json").write_bytes(scenario.shipped_profiles()["photographs"].read_bytes())
    assert scenario.load(file).load_profile() == scenario.load("standard").load_profile()


def test_the_first_group_that_takes_a_radio_has_it() -> None:
    second = GROUP.replace('"all"', '"wifi"').replace('[""]', '["WiFi"]')
    found = scenario.parse('format = 1\nname = "two"\n' + second + GROUP, name="mine.toml")
    for radio, name in (("wifi-6", "wifi"), ("5G", "all")):
        group = found.group_of(radio)
        assert group is not None
        assert group.name == name
    only = scenario.parse('format = 1\nname = "one"\n' + second, name="mine.toml")
    assert only.group_of("5G") is None
