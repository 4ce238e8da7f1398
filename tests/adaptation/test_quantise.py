import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation import quantise_judging, quantise_mix
from hedgerow.adaptation.keeping import Checkpoint
from hedgerow.adaptation.quantise import Wanted, entry, quantise
from hedgerow.adaptation.quantise_judging import by_turns, enough_to_tell, likeness, wilson
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from tests.adaptation.small_network import JOINTS, network, write_pictures, write_task


def quiet(_text: str) -> None:
    pass


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    task = Task.load(write_task(tmp_path, large=network(1), small=network(0)))
    return Wanted(task, task.model("small"), JOINTS, agreement=0.9)


def test_a_copy_is_made_once_with_its_figures(wanted: Wanted, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "images", 60)
    output = tmp_path / "out" / "small-int8.onnx"
    record = quantise(wanted, pictures, output, say=quiet)
    figures = record["figures"]
    assert figures["judged"]["agreement"] >= 0.8
    assert figures["judged"]["low"] <= figures["judged"]["agreement"] <= figures["judged"]["high"]
    assert figures["bytes"] == len(output.read_bytes())
    assert figures["speed"]["ratio"] > 0
    assert 0 <= figures["agreement_with_reference"] <= 1
    assert figures["mix"]["asked"] == 0.9
    assert {hurt["block"] for hurt in figures["mix"]["hurts"]} == {"two.output", "logits"}
    assert figures["layers"]["first_in_float32"] == ["one.output"]
    before = output.stat().st_mtime_ns
    said: list[str] = []
    assert quantise(wanted, pictures, output, say=said.append) == record
    assert (output.stat().st_mtime_ns, said) == (before, [])


def test_the_same_seed_gives_the_same_file_and_another_model_does_not_overwrite_it(
    wanted: Wanted, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "images", 40)
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    quantise(wanted, pictures, first, say=quiet)
    quantise(wanted, pictures, second, say=quiet)
    assert first.read_bytes() == second.read_bytes()
    other = replace(wanted, model=wanted.task.model("large"))
    with pytest.raises(UsageError, match="not overwritten"):
        quantise(other, pictures, first, say=quiet)
    foreign = tmp_path / "mine.onnx"
    foreign.write_bytes(b"somebody's")
    with pytest.raises(UsageError, match="was not made here"):
        quantise(wanted, pictures, foreign, say=quiet)
    assert foreign.read_bytes() == b"somebody's"


def test_what_was_found_out_before_a_stop_is_not_found_out_again(
    wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = write_pictures(tmp_path / "images", 40)
    run = quantise_judging.scores
    asked: list[int] = []

    def stop_after(count: int | None) -> None:
        def counting(*args: object) -> object:
            asked.append(1)
            if count is not None and len(asked) > count:
                raise KeyboardInterrupt
            return run(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(quantise_mix, "scores", counting)

    stop_after(4)
    with pytest.raises(KeyboardInterrupt):
        quantise(wanted, pictures, tmp_path / "c.onnx", say=quiet)
    assert not (tmp_path / "c.onnx").exists()
    asked.clear()
    stop_after(None)
    quantise(wanted, pictures, tmp_path / "c.onnx", say=quiet)
    resumed = len(asked)
    asked.clear()
    quantise(wanted, pictures, tmp_path / "d.onnx", say=quiet)
    assert len(asked) == resumed + 3  # the original is always asked; three ways were known
    assert (tmp_path / "c.onnx").read_bytes() == (tmp_path / "d.onnx").read_bytes()
    assert not list(tmp_path.glob(".*partial*"))


def test_an_agreement_that_is_asked_for_keeps_blocks_in_float32(wanted: Wanted, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "images", 60)
    record = quantise(replace(wanted, agreement=1.0), pictures, tmp_path / "e.onnx", say=quiet)
    mix = record["figures"]["mix"]
    assert mix["reached"] == (mix["calibrated"]["agreement"] >= 1.0)
    assert set(mix["kept_in_float32"]) <= {"two.output", "logits"}
    loose = quantise(replace(wanted, agreement=None), pictures, tmp_path / "f.onnx", say=quiet)
    assert loose["figures"]["mix"]["kept_in_float32"] == []
    assert mix["calibrated"]["agreement"] >= loose["figures"]["mix"]["calibrated"]["agreement"]


def test_bad_data_is_refused_saying_what_is_enough(wanted: Wanted, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="300 in all are good"):
        quantise(wanted, write_pictures(tmp_path / "few", 5), tmp_path / "g.onnx", say=quiet)
    pictures = write_pictures(tmp_path / "images", 40)
    pictures[7].write_bytes(pictures[7].read_bytes()[:60])
    with pytest.raises(UsageError, match=r"0007\.png"):
        quantise(wanted, pictures, tmp_path / "h.onnx", say=quiet)
    pictures[7].unlink()
    with pytest.raises(UsageError, match="cannot read the picture"):
        quantise(wanted, pictures, tmp_path / "h.onnx", say=quiet)
    assert not (tmp_path / "h.onnx").exists()


def test_a_copy_or_a_bare_model_or_an_agreement_beyond_one_is_refused(wanted: Wanted, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "images", 40)
    quantise(wanted, pictures, tmp_path / "copy.onnx", say=quiet)
    folder = tmp_path / "again"
    folder.mkdir()
    task = Task.load(write_task(folder, copy=(tmp_path / "copy.onnx").read_bytes()))
    with pytest.raises(UsageError, match="quantised already"):
        quantise(Wanted(task, task.model("copy"), JOINTS), pictures, tmp_path / "i.onnx", say=quiet)
    bare = Task.of_model(tmp_path / "small.onnx")
    with pytest.raises(UsageError, match="no preparation"):
        quantise(Wanted(bare, bare.models[0], JOINTS), pictures, tmp_path / "i.onnx", say=quiet)
    with pytest.raises(UsageError, match="at most 1"):
        quantise(replace(wanted, agreement=1.5), pictures, tmp_path / "i.onnx", say=quiet)


def test_the_copy_stands_in_a_task_file_as_a_precision_of_its_model(wanted: Wanted) -> None:
    found = entry(wanted.model, JOINTS, Path("x.onnx"))
    assert (found["name"], found["precision_of"], found["joints"]) == ("small-int8", "small", list(JOINTS))
    assert found["preparation"]["crop"] == 16
    json.dumps(found)


def test_likeness_tells_agreement_and_divergence() -> None:
    reference = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 5.0], [1.0, 0.9, 0.0]])
    same = likeness(reference + 7.0, reference)
    assert same.agreement == 1.0
    assert same.divergence == pytest.approx(0.0, abs=1e-12)
    changed = reference.copy()
    changed[3] = [0.9, 1.0, 0.0]
    found = likeness(changed, reference)
    assert found.agreement == 0.75
    assert 0.0 < found.divergence < 0.01


def test_intervals_and_how_many_would_tell() -> None:
    low, high = wilson(97, 100)
    assert low == pytest.approx(0.915, abs=2e-3)
    assert high == pytest.approx(0.990, abs=2e-3)
    assert wilson(0, 10)[0] == 0.0
    assert enough_to_tell(0.98, 0.98) is None
    found = enough_to_tell(0.97, 0.98)
    assert found is not None
    assert 1000 < found < 1300
    with pytest.raises(UsageError):
        wilson(0, 0)


def test_times_are_taken_by_turns(wanted: Wanted) -> None:
    now = iter(range(0, 10**9, 1000))
    with Chain.open(wanted.model.path) as one, Chain.open(wanted.model.path) as other:
        tensors: Tensors = {"input": np.zeros((1, 3, 16, 16), np.float32)}
        found = by_turns(one, other, tensors, pairs=21, clock=lambda: next(now))
    assert (found.ratio, found.low, found.high, found.pairs) == (1.0, 1.0, 1.0, 21)


def test_memory_of_answers_is_kept_in_the_checkpoint(wanted: Wanted, tmp_path: Path) -> None:
    place = Checkpoint(tmp_path / "kept")
    data = wanted.model.path.read_bytes()
    tensors: list[Tensors] = [{"input": np.full((1, 3, 16, 16), value, np.float32)} for value in (0.1, -0.4, 0.9)]
    judge = quantise_mix.Judge(data, tensors, place, threads=1, seed=0)
    assert judge.like(data).agreement == 1.0
    assert judge.like(data, at_most=2).samples == 2
    assert len(json.loads(place.load(quantise_mix.MEMORY) or b"{}")) == 2
