"""`hedgerow doctor`, as typed: readable, sorted by danger, an exit code that says whether there is one."""

import json
from pathlib import Path

from tests.cli.typed import hedgerow
from tests.device.small import dense_task, profile_of


def test_json_is_one_object_sorted_by_danger(tmp_path: Path) -> None:
    made = profile_of(dense_task(tmp_path))
    made.save(tmp_path / "profile.json")
    done = hedgerow("doctor", "--json", "--waits", "20", "--profile", str(tmp_path / "profile.json"))
    told = json.loads(done.stdout)
    levels = [finding["level"] for finding in told["findings"]]
    order = ["danger", "warn", "info", "ok"]
    assert levels == sorted(levels, key=order.index)
    assert told["counts"] == {level: levels.count(level) for level in order}
    assert done.returncode == (1 if "danger" in levels else 0), done.stderr
    names = {finding["name"] for finding in told["findings"]}
    assert {"cores", "timer", "garbage", "swap", "company", "profile's samples"} <= names


def test_words_name_every_danger_with_what_to_do() -> None:
    done = hedgerow("doctor", "--waits", "20")
    assert done.returncode in (0, 1), done.stderr
    assert "in order" in done.stdout
    assert "wall clock" in done.stdout
    assert done.stdout.count("  seen ") == done.stdout.count("  endangers ")


def test_a_wrong_profile_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"format": 1, ')
    for name, said in (("none.json", "there is no profile"), ("cut.json", "is not a whole profile")):
        done = hedgerow("doctor", "--profile", str(tmp_path / name))
        assert done.returncode == 2
        assert done.stdout == ""
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
