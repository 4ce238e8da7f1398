"""`hedgerow run` and `hedgerow replay`, as typed: tensors and pictures, what they print, what they refuse."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.assurance.certification.inputs import inputs_of
from hedgerow.assurance.certification.proving import prove
from hedgerow.cli.run import schedule
from hedgerow.profiling import Profile
from tests.cli.typed import hedgerow
from tests.models.small_models import write_classifier

TASK = """
[task]
name = "small"
kind = "classification"
reference = "small"
labels = "labels.txt"
[[model]]
name = "small"
file = "small.onnx"
[model.preparation]
version = 1
resize_shorter = 4
crop = 4
interpolation = "bilinear"
scale = 255.0
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
layout = "NCHW"
input = "input"
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(task file, folder of three pictures, profile) of a tiny classifier."""
    root = tmp_path_factory.mktemp("run")
    write_classifier(root / "small.onnx")
    (root / "labels.txt").write_text("cat\ndog\nhedgehog\n")
    (root / "task.toml").write_text(TASK)
    folder = root / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / f"{number}.png")
    profile = root / "profile.json"
    words = (
        "profile",
        str(root / "task.toml"),
        "-o",
        str(profile),
        "--images",
        str(folder),
        "--quick",
        "--seconds",
        "1",
    )
    done = hedgerow(*words)
    assert done.returncode == 0, done.stderr
    return root / "task.toml", folder, profile


def test_pictures_are_answered_and_summed_up(pictures: tuple[Path, Path, Path], tmp_path: Path) -> None:
    task, folder, profile = pictures
    journal = tmp_path / "a.journal"
    words = ("run", str(task), "--input", str(folder), "--profile", str(profile), "--rate", "50", "--repeat", "2")
    done = hedgerow(*words, "--journal", str(journal), "--deadline-ms", "2000")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 samples: 6 in time, 0 late or unanswered")
    assert "local:small 6" in done.stdout
    replayed = hedgerow("replay", str(journal))
    assert (replayed.returncode, "6 decisions: equal" in replayed.stdout) == (0, True)
    told = json.loads(hedgerow("replay", str(journal), "--json").stdout)
    assert (told["equal"], told["decisions"], told["difference"]) == (True, 6, None)


def test_a_changed_journal_is_told_with_exit_code_1(pictures: tuple[Path, Path, Path], tmp_path: Path) -> None:
    task, folder, profile = pictures
    journal = tmp_path / "a.journal"
    words = ("--input", str(folder), "--profile", str(profile), "--rate", "50", "--journal", str(journal))
    assert hedgerow("run", str(task), *words).returncode == 0
    journal.write_bytes(
        journal.read_bytes()
        .replace(b'"reason":"policy_fixed"', b'"reason":"x"')
        .replace(b'"slack_ms":', b'"slack_ms":1', 1)
    )
    done = hedgerow("replay", str(journal))
    assert done.returncode == 1
    assert "difference in step" in done.stdout


def test_json_is_a_line_an_answer_and_a_summary(pictures: tuple[Path, Path, Path]) -> None:
    task, folder, profile = pictures
    done = hedgerow("run", str(task), "--input", str(folder), "--profile", str(profile), "--rate", "50", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 4
    assert sorted(line["request"] for line in lines[:3]) == [0, 1, 2]
    assert all(line["label"] in ("cat", "dog", "hedgehog") for line in lines[:3])
    summary = lines[3]["summary"]
    assert summary["requests"] == summary["in_time"] + summary["late"] == 3
    assert sum(summary["by_status"].values()) == sum(summary["by_arm"].values()) == 3


def test_tensors_come_from_npz_files(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "small.onnx")
    folder = tmp_path / "tensors"
    folder.mkdir()
    np.savez(folder / "one.npz", input=np.zeros((1, 3, 4, 4), np.float32))
    done = hedgerow("run", str(model), "--input", str(folder), "--rate", "50", "--deadline-ms", "2000", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["in_time"] == 1


def test_ctrl_c_ends_with_the_summary(pictures: tuple[Path, Path, Path]) -> None:
    task, folder, profile = pictures
    words = ["run", str(task), "--input", str(folder), "--profile", str(profile), "--seconds", "60", "--json"]
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    command = [sys.executable, "-m", "hedgerow.cli.main", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read().splitlines()
        assert running.wait(30) == 0
    summary = json.loads(rest[-1])["summary"]
    assert json.loads(first)["request"] == 0
    assert summary["interrupted"] is True
    assert 0 < summary["requests"] == sum(summary["by_status"].values()) < 600


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--server", "nowhere"], "give HOST:PORT"),
        (["--server", "host:99999"], "give HOST:PORT"),
        (["--seconds", "1", "--repeat", "2"], "not both"),
        (["--input", "EMPTY"], "no picture in"),
        (["--input", "/no/such/folder"], "is no folder"),
        (["--input", "BROKEN"], "broken.png"),
        (["--policy", "luck"], "no policy 'luck'"),
        (["--criticality", "great"], "criticality must be one of"),
    ],
)
def test_bad_input_is_one_clear_line(
    pictures: tuple[Path, Path, Path], tmp_path: Path, more: list[str], words: str
) -> None:
    task, folder, profile = pictures
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.png").write_bytes(b"\x89PNG nonsense")
    places = {"EMPTY": str(tmp_path / "empty"), "BROKEN": str(tmp_path / "broken")}
    more = [places.get(word, word) for word in more]
    given = [
        "run",
        str(task),
        "--profile",
        str(profile),
        *([] if "--input" in more else ["--input", str(folder)]),
        *more,
    ]
    done = hedgerow(*given)
    assert done.returncode == 2
    assert words in done.stderr
    assert "[at fault: input]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"not a journal\n", b"{}\n"])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.journal").write_bytes(content)
    done = hedgerow("replay", str(tmp_path / "a.journal"))
    assert done.returncode == 2
    assert "[at fault: input]" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_npz_and_a_broken_one_are_named(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "small.onnx")
    done = hedgerow("run", str(model), "--input", str(tmp_path))
    assert (done.returncode, "no .npz file" in done.stderr) == (2, True)
    (tmp_path / "bad.npz").write_bytes(b"PK nonsense")
    done = hedgerow("run", str(model), "--input", str(tmp_path))
    assert (done.returncode, "bad.npz does not read" in done.stderr) == (2, True)


STREAMS = """
format = 1
[[stream]]
name = "front"
period_ms = 200
deadline_ms = 1500
capture_delay_ms = 50
criticality = "safety"
[[stream]]
name = "side"
period_ms = 400
deadline_ms = 2500
capture_delay_ms = 50
safe_value = "stop"
[rule]
exceedances_max = 5000
"""


def test_a_certified_run_offers_each_stream_at_its_period(pictures: tuple[Path, Path, Path], tmp_path: Path) -> None:
    task, folder, profile = pictures
    document = prove(inputs_of(STREAMS, Profile.load(profile))).document
    assert document is not None
    document.save(tmp_path / "certificate.json")
    words = ("run", str(task), "--input", str(folder), "--certificate", str(tmp_path / "certificate.json"))
    done = hedgerow(*words, "--profile", str(profile), "--seconds", "2", "--json")
    assert done.returncode == 0, done.stderr
    *answers, summary = [json.loads(each) for each in done.stdout.splitlines()]
    by_stream = [each["stream"] for each in answers]
    assert (by_stream.count("front"), by_stream.count("side")) == (10, 5)
    assert {each["mode"] for each in answers} == {"nominal"}
    assert summary["summary"]["by_mode"] == {"nominal": 15}
    refused = hedgerow(*words)
    assert refused.returncode == 2
    assert "give that profile too" in refused.stderr


def test_streams_are_offered_in_their_order_and_do_not_begin_together() -> None:
    dues = list(schedule({"a": 100, "b": 200}, 6))
    assert dues == [(0, "a"), (100, "a"), (100, "b"), (200, "a"), (300, "a"), (300, "b")]
    assert list(schedule({None: 50}, 3)) == [(0, None), (50, None), (100, None)]
