"""`hedgerow bench guard` in its quick form: what it counts adds up; how quick the guard is, no test says."""

import json
import subprocess
import sys

from tests.cli.typed import hedgerow

FRAMES = 120


def test_every_frame_is_accounted_for() -> None:
    command = [sys.executable, "-m", "hedgerow.cli.main", "bench", "guard", "--frames", str(FRAMES), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110)
    found = json.loads(ended.stdout)
    assert ended.returncode == int(found["safe_values_missed"] > 0)
    assert found["more_than_one_message"] == 0
    assert FRAMES - 20 < found["stream_frames"] <= FRAMES
    assert found["safe_values"] >= found["stream_frames"] // 5  # every fifth, and those of the stop and the restart
    for prefix in ("", "socket_"):
        assert found[f"{prefix}p50_us"] <= found[f"{prefix}p99_us"]
        assert found[f"{prefix}whole_p50_us"] > 0
        assert found[f"{prefix}without_p50_us"] > 0


def test_too_few_frames_are_refused() -> None:
    ended = hedgerow("bench", "guard", "--frames", "5")
    assert ended.returncode == 2
    assert "--frames" in ended.stderr
