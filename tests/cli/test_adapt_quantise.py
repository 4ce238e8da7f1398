import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hedgerow.adaptation.sources import of_parts
from hedgerow.cli.adapt import register
from hedgerow.errors import HostError, UsageError
from tests.adaptation.small_network import network, write_pictures, write_task


def run(*arguments: str) -> str:
    import typer

    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    done = CliRunner().invoke(app, ["adapt", "quantise", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_copy_is_made_reported_and_named_for_a_task_file(tmp_path: Path) -> None:
    task = write_task(tmp_path, small=network())
    write_pictures(tmp_path / "images", 60)
    output = str(tmp_path / "copy.onnx")
    arguments = (str(task), "--images", str(tmp_path / "images"), "-o", output, "--agreement", "0.9")
    text = run(*arguments)
    for word in ("times as quick", "bytes", "agreement", "asked", "two.output", 'precision_of = "small"'):
        assert word in text
    figures = json.loads(run(*arguments, "--json"))
    assert figures["mix"]["asked"] == 0.9


def test_what_is_no_model_is_refused_with_what_can_be_given(tmp_path: Path) -> None:
    task = write_task(tmp_path, small=network(), large=network(1))
    write_pictures(tmp_path / "images", 3)
    images = ("--images", str(tmp_path / "images"))
    with pytest.raises(UsageError, match="mobilenet-v2, efficientnet-lite2"):
        run(str(tmp_path / "small.onnx"), *images)
    with pytest.raises(UsageError, match="has 2 models"):
        run(str(task), *images)
    with pytest.raises(UsageError, match="has no model 'tiny'"):
        run(f"{task}:tiny", *images)
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        run(f"{task}:small", *images, "-o", str(tmp_path / "x.bin"))
    with pytest.raises(UsageError, match="300 in all are good"):
        run(f"{task}:small", *images, "-o", str(tmp_path / "x.onnx"))


def test_bad_input_is_told_before_the_work_begins(tmp_path: Path) -> None:
    task, folder = write_task(tmp_path, small=network()), tmp_path / "images"
    pictures = write_pictures(folder, 40)
    said = (str(task), "--images", str(folder))
    with pytest.raises(UsageError, match="nosuch"):
        run(*said, "-o", str(tmp_path / "x.onnx"), "--joints", "nosuch")
    with pytest.raises(UsageError, match="create it first"):
        run(*said, "-o", str(tmp_path / "none" / "x.onnx"))
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        run(*said, "-o", str(tmp_path / "folder.onnx"))
    with pytest.raises(HostError, match="cannot write in /proc"):
        run(*said, "-o", "/proc/x.onnx")
    (tmp_path / "mine.onnx").write_bytes(b"somebody's")
    with pytest.raises(UsageError, match="not overwritten"):
        run(*said, "-o", str(tmp_path / "mine.onnx"))
    late = of_parts(pictures, "judge")[-1]
    late.write_bytes(late.read_bytes()[:60])
    with pytest.raises(UsageError, match=late.name):
        run(*said, "-o", str(tmp_path / "x.onnx"))
    assert not list(tmp_path.glob(".*partial*"))  # nothing was begun
