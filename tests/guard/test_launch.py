"""What may stand in a streams file, and that everything wrong is one clear line before anything runs."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from hedgerow.assurance.certification.streams import parse_streams
from hedgerow.errors import HostError, UsageError
from hedgerow.guard import launch
from hedgerow.guard.memory import VERSION
from tests.guard.running import SOURCE, guarding, streams_file

GOOD = """
[[stream]]
name = "front"
period_ms = 33.3
deadline_ms = 100.0
capture_delay_ms = 2.0
jitter_ms = 1.0
criticality = "safety"
reserves = ["local:small"]
safe_value = { brake = 0.3 }

[[stream]]
name = "button"
deadline_ms = 50.0
safe_value = "none"

[guard]
bound_ms = 4.0
hang_frames = 0

[guard.stream.front]
slots = 64
payload_bytes_max = 1000
"""


def read(tmp_path: Path, text: str) -> launch.Settings:
    path = tmp_path / "streams.toml"
    path.write_text(text)
    return launch.read(path)


def test_the_certificate_s_streams_file_serves_and_its_own_keys_are_no_affair_of_the_guard_s(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    front, button = found.description["streams"]
    assert front == {
        "name": "front",
        "deadline_ns": 100_000_000,
        "period_ns": 33_300_000,
        "slots": 64,
        "payload_bytes_max": 1000,
    }
    assert button["period_ns"] is None
    assert button["slots"] == launch.SLOTS_MIN
    assert [json.loads(safe) for safe in found.safe_values] == [{"brake": 0.3}, "none"]
    assert found.description["bound_ns"] == 4_000_000
    assert found.description["version"] == VERSION


def test_one_file_serves_certificate_and_guard(tmp_path: Path) -> None:
    text = (
        "format = 1\n" + GOOD.replace('name = "button"', 'name = "button"\nperiod_ms = 100') + "deadline_ms = 110.0\n"
    )
    assert [stream.name for stream in parse_streams(text).streams] == ["front", "button"]
    front = read(tmp_path, text).description["streams"][0]
    assert front["deadline_ns"] == 110_000_000  # what the consumer waits for, beside the certified 100


EVERY_KEY = """
format = 1
[[stream]]
name = "front"
period_ms = 100.0
deadline_ms = 90.0
capture_delay_ms = 2.0
jitter_ms = 1.0
criticality = "safety"
reserves = ["small"]
safe_value = 0
expiry_ms = 1000.0
[[lane]]
name = "cpu"
[[mode]]
name = "nominal"
[rule]
exceedances_max = 3
[margins]
timer_ms = 1.0
[guard]
bound_ms = 3.0
"""


def test_both_readers_know_the_same_keys(tmp_path: Path) -> None:
    table = tomllib.loads(EVERY_KEY)
    assert table.keys() == launch.TABLES
    assert table["stream"][0].keys() == launch.STREAM_KEYS
    read(tmp_path, EVERY_KEY)
    parse_streams(EVERY_KEY)
    for old, new in (("period_ms", "perod_ms"), ("[rule]", "[rules]"), ("expiry_ms", "expiry_s")):
        for reader in (parse_streams, lambda text: read(tmp_path, text)):
            with pytest.raises(UsageError):
                reader(EVERY_KEY.replace(old, new, 1))


def test_the_guide_s_and_the_example_s_streams_are_read_by_both(tmp_path: Path) -> None:
    root = Path(SOURCE).parent
    guide = (root / "docs/guard.md").read_text().partition("streams.toml <<'END'\n")[2].partition("\nEND\n")[0]
    assert [stream.name for stream in parse_streams(guide).streams] == ["main"]
    assert read(tmp_path, guide).description["streams"][0]["period_ns"] == 50_000_000
    example = (root / "examples/streams.toml").read_text()
    parse_streams(example)
    with pytest.raises(UsageError, match="declares no safe_value"):  # and nothing else
        read(tmp_path, example)


def test_the_usual_place_is_the_runtime_folder_or_one_that_is_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert launch.default_socket("a/streams.toml") == str(tmp_path / "run" / "hedgerow-streams.guard")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"hedgerow-{os.geteuid()}"
    for _ in range(2):  # made, and used again
        assert launch.default_socket("a/streams.toml") == str(folder / "hedgerow-streams.guard")
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("taken", ["open", "link", "file", "another's", "nowhere"])
def test_a_place_that_somebody_else_may_have_taken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none" if taken == "nowhere" else tmp_path))
    folder = tmp_path / f"hedgerow-{os.geteuid()}"
    if taken == "open":
        folder.mkdir()
        folder.chmod(0o755)
    elif taken == "link":
        (tmp_path / "elsewhere").mkdir(0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif taken == "file":
        folder.touch(0o600)
    elif taken == "another's":
        folder.mkdir(0o700)
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        folder.rename(tmp_path / "hedgerow-4242")
    with pytest.raises(HostError, match="--socket"):
        launch.default_socket("streams.toml")


def test_slots_suffice_for_the_frames_that_may_be_open(tmp_path: Path) -> None:
    text = '[[stream]]\nname = "a"\nperiod_ms = 1\ndeadline_ms = 500\nsafe_value = 0\n'
    assert read(tmp_path, text).description["streams"][0]["slots"] >= 501


def test_a_least_distance_is_no_promise_of_frames(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD + "expect = false\n")
    assert found.description["streams"][0]["period_ns"] is None


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "button"', 'name = "front"', "names of their own"),
        ('name = "button"', "", "has no name"),
        ("deadline_ms = 50.0", "", "has no deadline_ms"),
        ("deadline_ms = 50.0", "deadline_ms = 4.0", "no longer than the guard's own bound_ms"),
        ("deadline_ms = 50.0", "deadline_ms = true", "must be a number"),
        ("deadline_ms = 50.0", "deadline_ms = nan", "from 0.1"),
        ("period_ms = 33.3", "period_ms = -1", "from 0.1"),
        ('safe_value = "none"', "", "declares no safe_value"),
        ('safe_value = "none"', "safe_value = 2026-01-01", "must be text, numbers"),
        ('safe_value = "none"', f'safe_value = "{"x" * 5000}"', "raise that"),
        ("period_ms = 33.3", "perod_ms = 33.3", "stream 'front' has 'perod_ms', which means"),
        ("[guard]", "[gaurd]\n[guard]", "the file has 'gaurd', which means"),
        ("bound_ms = 4.0", "bound = 4.0", "means nothing to the guard"),
        ("slots = 64", "slot = 64", "means nothing to the guard"),
        ("slots = 64", "slots = 2", "from 8"),
        ("payload_bytes_max = 1000", "payload_bytes_max = 1000000", "from 16 to 65536"),
        ("[guard.stream.front]", "[guard.stream.rear]", "means nothing to the guard"),
        ("hang_frames = 0", "hang_frames = -1", "from 0"),
        ("[guard]", "[guard", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert complaint in str(caught.value)
    assert "streams.toml" in str(caught.value)
    assert "\n" not in str(caught.value).rstrip("\n")


@pytest.mark.parametrize(
    "text", ["", "stream = 1", "[stream]\nname = 'a'", "guard = 3\n" + GOOD.partition("[guard]")[0]]
)
def test_a_file_without_streams_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, text)


def run(file: Path, path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """By the command line of all of Hedgerow."""
    full = [sys.executable, "-m", "hedgerow.cli.main", "guard", str(file), "--socket", str(path), "--", *command]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    return subprocess.run(full, capture_output=True, text=True, timeout=60, env=environment)


def test_a_command_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    done = run(streams_file(tmp_path), tmp_path / "socket", "no-such-program")
    assert done.returncode == 2
    assert "no-such-program" in done.stderr
    assert not (tmp_path / "socket").exists()


def test_a_file_in_the_socket_s_place_is_not_taken_away(tmp_path: Path) -> None:
    (tmp_path / "socket").write_text("mine")
    done = run(streams_file(tmp_path), tmp_path / "socket", "true")
    assert done.returncode == 2
    assert (tmp_path / "socket").read_text() == "mine"


def test_a_second_guard_at_the_same_place_is_refused_and_a_dead_one_s_socket_taken_over(tmp_path: Path) -> None:
    file = streams_file(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(file.with_suffix(".sock")))
    with guarding(file, "plain", "1000", "10") as guard:
        done = run(file, Path(guard.path), "true")
        assert done.returncode == 6
        assert "runs at" in done.stderr
        assert os.stat(guard.path).st_mode & 0o777 == 0o600
