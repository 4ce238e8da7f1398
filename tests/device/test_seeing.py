"""Views of a live session: made from outputs, decided in the core, given back with the answer, replayed from the journal."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.core.arbitration import Arbitration, Cost, Group
from hedgerow.core.records import Source, Status
from hedgerow.core.views import Arbitrated, Rule
from hedgerow.device.seeing import Seer, blind, settled
from hedgerow.device.session import Session
from hedgerow.errors import UsageError
from hedgerow.journal.replaying import replay
from hedgerow.models.calibrated import LABELS_KEPT, probabilities
from hedgerow.models.task import Interpretation, Task
from hedgerow.planning.arbitrating import plain_arbitration, version_of
from tests.device.small import Steps, pair_task, profile_of
from tests.wire.serving import ServerProcess, server_process, until

FRAME = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pair")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Task:
    return pair_task(folder)


@pytest.fixture(scope="module")
def pair_server(pair: Task, folder: Path) -> Iterator[ServerProcess]:
    with server_process(folder / "pair.toml") as process:
        yield process


def outputs(task: Task, model: str) -> dict[str, np.ndarray]:
    with task.open(model) as chain:
        return dict(chain.run({"frame": FRAME}).tensors)


def test_a_view_is_the_calibrated_probabilities_and_the_models_version(pair: Task) -> None:
    made = outputs(pair, "small")
    seen = Seer(pair)("small", made)
    assert seen is not None
    assert seen.version == version_of(pair.model("small").model_id)
    shares = probabilities(pair.scores(made))
    assert seen.labels[0] == int(np.argmax(shares))
    assert seen.probabilities == pytest.approx(sorted(shares, reverse=True)[:LABELS_KEPT], abs=1e-6)
    hotter = replace(pair, models=tuple(replace(model, temperature=4.0) for model in pair.models))
    flat = Seer(hotter)("small", made)
    assert flat is not None
    assert flat.labels == seen.labels
    assert flat.probabilities[0] < seen.probabilities[0]
    stranger = Seer(pair, known=False)("small", made)
    assert stranger is not None
    assert stranger.version == ""
    assert blind("small", made) is None


def said(label: int, suggested: int, group: str = "") -> Arbitrated:
    return Arbitrated(0, "s", Rule.LEAST_COST, label, suggested, group, 0.0, 0.4, (), ())


def test_what_an_answer_means_once_it_was_arbitrated(pair: Task) -> None:
    own = Interpretation(1, "label1", 0.9)
    assert settled(pair, own, said(1, 1)) == (own, "label1")
    assert settled(pair, own, said(2, 2)) == (Interpretation(2, "label2", 0.4), "label2")
    assert settled(pair, own, said(2, 2, "low")) == (Interpretation(2, "low", 0.4), "low")
    assert settled(pair, own, said(1, 3)) == (own, "label3")  # a safety stream's
    assert settled(pair, own, said(-1, -1)) == (own, None)


def test_costs_decide_a_live_answer_and_its_journal_replays(pair: Task, tmp_path: Path) -> None:
    profile, path = profile_of(pair, agreeing={"small": 15}), tmp_path / "journal"
    with Session(pair, profile=profile, deadline_ms=800) as session:
        plain = session.answer(FRAME)
    assert plain.label_index is not None
    assert plain.views == ()
    cheap = (plain.label_index + 1) % 5
    every, others = tuple(range(5)), tuple(label for label in range(5) if label != cheap)
    rules = replace(plain_arbitration(pair), costs=(Cost(others, every, 9.0), Cost((cheap,), every, 0.1)), memory=0.5)
    with Session(pair, profile=profile, deadline_ms=800, arbitration=rules, journal=path) as session:
        answer = session.answer(FRAME, track=3)
        session.answer(FRAME, track=3, changed=True)
    assert (answer.status, answer.source, answer.reason) == (Status.ANSWERED, Source.LOCAL, "arbitrated")
    assert (answer.label_index, answer.label, answer.suggested) == (cheap, f"label{cheap}", f"label{cheap}")
    assert [each.model for each in answer.views] == [answer.model]
    np.testing.assert_array_equal(answer.outputs["logits"], plain.outputs["logits"])
    assert replay(path).difference is None
    assert b'"Arbitrated"' in path.read_bytes()


def test_a_group_is_an_answers_label(pair: Task) -> None:
    groups = (Group("any of them", tuple(range(5)), 0.001),)
    rules = replace(plain_arbitration(pair), groups=groups)
    with Session(pair, profile=profile_of(pair), deadline_ms=800, arbitration=rules) as session:
        answer = session.answer(FRAME)
    assert (answer.label, answer.reason) == ("any of them", "arbitrated")
    assert answer.label_index in range(5)


def test_a_servers_view_is_recorded_beside_the_devices_own(pair: Task, pair_server: ServerProcess) -> None:
    """A safety stream's answer stays the device's own; advice that says another thing is recorded with both views."""
    tops = {name: int(np.argmax(pair.scores(outputs(pair, name)))) for name in ("small", "big")}
    assert tops["small"] != tops["big"], "choose a frame on which they differ"
    steps, profile = (
        Steps(),
        profile_of(pair, median_ms={"big": 300.0}, bound_ms={"big": 700.0}, agreeing={"small": 15}),
    )
    rules = plain_arbitration(pair)
    with Session(
        pair, pair_server.address, profile=profile, deadline_ms=500, criticality="safety", arbitration=rules
    ) as session:
        session.listen(steps)

        def both() -> bool:
            answer = session.answer(FRAME)
            assert answer.label_index == tops[answer.model]
            told = [
                each for _, _, outcome in list(steps.steps) for each in outcome.records if isinstance(each, Arbitrated)
            ]
            return any({view.tier for view in each.views} == {"device", "cloud"} for each in told)

        until(both, "both views")
    told = [each for _, _, outcome in steps.steps for each in outcome.records if isinstance(each, Arbitrated)]
    assert all(each.label == tops["small"] for each in told)
    assert all(view.aside is None for each in told for view in each.views)
    heard = [event for _, event, _ in steps.steps if isinstance(event, r.AnswerArrived)]
    assert any(event.view is not None and event.view.labels[0] == tops["big"] for event in heard)


def test_rules_that_do_not_fit_open_no_session(pair: Task, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for 7 labels"):
        Session(pair, profile=profile_of(pair), arbitration=Arbitration(7))
    (tmp_path / "rules.toml").write_text("format = 1\nmemory = -1\n")
    with pytest.raises(UsageError, match="'memory' must be"):
        Session(pair, profile=profile_of(pair), arbitration=tmp_path / "rules.toml")
