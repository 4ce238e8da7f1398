"""`hedgerow model` as a user types it: output, exit codes, and one clear line for every mistake."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hedgerow.cli import model as model_verbs
from hedgerow.errors import UsageError
from hedgerow.models import verify as verify_module
from hedgerow.models.verify import Report, Verdict
from tests.cli.typed import hedgerow
from tests.models import graphs

runner = CliRunner()


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    model_verbs.register(made)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(graphs.dynamic_axes().SerializeToString())
    return path


def test_inspect_shows_every_cut(app: typer.Typer, file: Path) -> None:
    result = runner.invoke(app, ["model", "inspect", str(file), "--axis", "side=8"])
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines() if "%" in line]
    assert [row[3] for row in rows] == ["conv", "normal", "relu", "sum", "pool", "flat"]
    assert rows[2][1] == f"{4 * 4 * 8 * 8:,}"
    assert "float32[batch,4," in result.stdout
    assert "sizes    batch=1, side=8 (" in result.stdout


def test_inspect_as_json_holds_the_same(app: typer.Typer, file: Path) -> None:
    result = runner.invoke(app, ["model", "inspect", str(file), "--json", "--axis", "side=8"])
    found = json.loads(result.stdout)
    assert [cut["name"] for cut in found["cuts"]] == ["conv", "normal", "relu", "sum", "pool", "flat"]
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 3, "side", "side"]}]
    assert found["uncuttable"] == []


def test_inspect_says_what_cannot_be_cut(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graphs.sequence_inside().SerializeToString())
    assert "not cut: tensor 'parts' is of type sequence" in runner.invoke(app, ["model", "inspect", str(path)]).stdout
    path.write_bytes(graphs.no_nodes().SerializeToString())
    assert "runs whole only" in runner.invoke(app, ["model", "inspect", str(path)]).stdout


def test_verify_counts(app: typer.Typer, file: Path) -> None:
    result = runner.invoke(app, ["model", "verify", str(file), "--json", "--axis", "side=9"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert list(found) == ["cuts", "bit_equal", "worst_relative", "top1_agree", "wrong"]
    assert (found["cuts"], found["top1_agree"], found["wrong"]) == (6, 6, 0)
    result = runner.invoke(app, ["model", "verify", str(file), "--axis", "side=9"])
    assert "6 cuts" in result.stdout
    assert "0 wrong" in result.stdout


def test_verify_takes_inputs_from_a_file(app: typer.Typer, file: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, x=np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    result = runner.invoke(app, ["model", "verify", str(file), "--json", "--input", str(inputs)])
    assert json.loads(result.stdout)["wrong"] == 0


def test_verify_says_loudly_that_it_tried_less(app: typer.Typer, file: Path) -> None:
    result = runner.invoke(app, ["model", "verify", str(file), "--json", "--limit", "2", "--axis", "side=8"])
    assert "only 2 of 6 cuts" in result.stderr
    assert json.loads(result.stdout)["cuts"] == 2


def test_verify_ends_with_one_when_a_cut_is_wrong(
    app: typer.Typer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = verify_module.verify

    def planted(*arguments: object, **options: object) -> Report:
        report = sound(*arguments, **options)  # type: ignore[arg-type]
        return Report(report.candidates, ((report.verdicts[0][0], Verdict(False, 1.0, False, "planted")),))

    monkeypatch.setattr(verify_module, "verify", planted)
    result = runner.invoke(app, ["model", "verify", str(file), "--json", "--axis", "side=8"])
    assert result.exit_code == 1
    assert "WRONG at cut 0 'conv': planted" in result.stderr
    assert json.loads(result.stdout)["wrong"] == 1


def test_verify_of_a_model_that_cannot_be_cut_says_so(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graphs.no_nodes().SerializeToString())
    result = runner.invoke(app, ["model", "verify", str(path)])
    assert result.exit_code == 0
    assert "runs whole only" in result.stdout


@pytest.mark.parametrize("axis", ["side", "=3", "side=", "side=0", "side=-1", "side=x", "side=99999999"])
def test_axes_that_do_not_read_are_the_callers_fault(app: typer.Typer, file: Path, axis: str) -> None:
    result = runner.invoke(app, ["model", "inspect", str(file), "--axis", axis])
    assert isinstance(result.exception, UsageError)


@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_an_axis_that_the_model_lacks_is_the_callers_fault(app: typer.Typer, file: Path, verb: str) -> None:
    result = runner.invoke(app, ["model", verb, str(file), "--axis", "M=4"])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == "no dynamic axis 'M'; there are: batch, side"


@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_a_bad_file_is_one_line_and_exit_code_two(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"nonsense")
    for words in ([str(path)], [str(tmp_path)], [str(tmp_path / "missing.onnx")]):
        ended = hedgerow("model", verb, *words, "--json")
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr.startswith("hedgerow: ")
        assert ended.stderr.count("\n") == 1


def test_a_model_at_fault_is_exit_code_five(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    made = graphs.model([graphs.node("Mystery", "x", "y", domain="custom")], [graphs.value("x")], [graphs.value("y")])
    path.write_bytes(made.SerializeToString())
    ended = hedgerow("model", "verify", str(path))
    assert ended.returncode == 5
    assert "Mystery" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_fetch_hands_its_options_on(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgerow.models import fetch as fetch_package

    asked: list[tuple[str, Path | None, bool]] = []

    def fetch(name: str, *, home: Path | None = None, force: bool = False) -> Path:
        asked.append((name, home, force))
        return tmp_path / "here"

    monkeypatch.setattr(fetch_package, "fetch", fetch)
    result = runner.invoke(app, ["model", "fetch", "mobilenet-v2", "--home", str(tmp_path), "--force"])
    assert asked == [("mobilenet-v2", tmp_path, True)]
    assert result.stdout.strip() == str(tmp_path / "here")
