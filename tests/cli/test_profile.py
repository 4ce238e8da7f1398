"""`hedgerow profile` as typed: what it writes, says and refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.cli.typed import Ended, hedgerow
from tests.profiling.tasks import picture_task, pictures, tensor_samples, tensor_task
from tests.wire.serving import local_server


def run(*arguments: str | Path) -> Ended:
    return hedgerow("profile", *arguments)


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    picture_task(tmp_path)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, frame in pictures(12).items():
        Image.fromarray(frame).save(folder / f"{name}.png")
    return tmp_path / "patches.toml"


def test_pictures_are_profiled_with_progress_and_a_summary(task_file: Path) -> None:
    output = task_file.parent / "p.json"
    ended = run(task_file, "--images", task_file.parent / "pictures", "-o", output, "--quick", "--seconds", "1")
    assert ended.returncode == 0, ended.stderr
    profile = Profile.load(output)
    profile.check(Task.load(task_file))
    assert profile.inputs == "pictures"
    assert "opening small" in ended.stderr
    assert "names no joints" not in ended.stderr
    assert "bound: what plans rely on" in ended.stdout
    assert "hedgerow.profiling" not in ended.stdout
    for part in ("profile of task 'patches'", "local:small", "cloud:big:jpeg:75", "not measured", f"wrote {output}"):
        assert part in ended.stdout


def test_a_codec_of_ones_own_is_an_arm_and_a_wrong_one_is_refused(task_file: Path) -> None:
    output = task_file.parent / "p.json"
    given = (task_file, "--images", task_file.parent / "pictures", "-o", output, "--quick", "--seconds", "1")
    ended = run(*given, "--codec", "jpeg:95,16", "--codec", "jpeg:75")
    assert ended.returncode == 0, ended.stderr
    names = {name for name in Profile.load(output).agreement if name.startswith("cloud:big:jpeg")}
    shrunk = {f"cloud:big:jpeg:{quality},10" for quality in (50, 75)}
    assert names == {"cloud:big:jpeg:50", "cloud:big:jpeg:75", "cloud:big:jpeg:95,16"} | shrunk
    for wrong, says in (("jpeg:101", "jpeg"), ("mp3", "mp3"), ("q4", "features")):
        ended = run(*given, "--codec", wrong)
        assert (ended.returncode, says in ended.stderr) == (2, True), ended.stderr


def test_a_model_alone_is_profiled_on_generated_inputs(tmp_path: Path) -> None:
    model = tensor_task(tmp_path).models[0].path
    ended = run(model, "-o", tmp_path / "p.json", "--quick", "--seconds", "1")
    assert ended.returncode == 0, ended.stderr
    assert Profile.load(tmp_path / "p.json").inputs == "generated"
    assert "generated" in ended.stderr
    assert f"model '{model.stem}' names no joints: splits inside it are not tried" in ended.stderr


def test_tensors_are_profiled_on_files_of_their_own(tmp_path: Path) -> None:
    tensor_task(tmp_path)
    folder = tmp_path / "samples"
    folder.mkdir()
    for number, sample in enumerate(tensor_samples(3).values()):
        arrays: dict[str, Any] = dict(sample)
        np.savez(folder / f"{number}.npz", **arrays)
    ended = run(tmp_path / "tiny.toml", "--images", folder, "-o", tmp_path / "p.json", "--quick", "--seconds", "1")
    assert ended.returncode == 0, ended.stderr
    assert sorted(Profile.load(tmp_path / "p.json").samples) == ["0.npz", "1.npz", "2.npz"]


def test_a_server_is_measured_when_it_answers_and_missed_out_loud_when_not(tmp_path: Path) -> None:
    tensor_task(tmp_path)
    task, output = tmp_path / "tiny.toml", tmp_path / "p.json"
    with local_server(task) as server:
        ended = run(task, "-o", output, "--quick", "--seconds", "1", "--server", server.address)
    assert ended.returncode == 0, ended.stderr
    assert "uplink" in ended.stdout
    assert not Profile.load(output).cloud.estimated
    ended = run(task, "-o", output, "--quick", "--seconds", "1", "--server", "127.0.0.1:9")
    assert ended.returncode == 0
    assert "at fault: network" in ended.stderr
    assert Profile.load(output).cloud.estimated


def test_wrong_input_is_named_before_anything_is_measured(task_file: Path) -> None:
    folder, output = task_file.parent, task_file.parent / "p.json"
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "x.png").write_bytes(b"not a picture")
    model = tensor_task(folder).models[0].path
    for arguments, word in (
        ((task_file, "--images", folder / "empty", "-o", output), "no picture"),
        ((task_file, "--images", folder / "broken", "-o", output), "x.png"),
        ((task_file, "--images", folder / "missing", "-o", output), "no folder"),
        ((model, "--images", folder / "pictures", "-o", output), "no .npz file"),
        ((task_file, "-o", folder / "missing" / "p.json"), "create it first"),
        ((task_file, "-o", folder), "is a folder"),
        ((task_file, "-o", output, "--server", "nowhere"), "HOST:PORT"),
        ((folder / "missing.toml", "-o", output), "missing.toml"),
    ):
        ended = run(*arguments)
        assert ended.returncode == 2, arguments
        assert word in ended.stderr
        assert "opening" not in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not output.exists()
