"""A journal under a question: costs as the world had them, chances as the log drew, nothing changed by asking."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.assurance.evaluation.logged import COLUMNS, read
from hedgerow.core.policies import Choice, Feedback, View, by_name
from hedgerow.core.policies.expecting import chosen
from hedgerow.core.records import MS, Criticality
from hedgerow.errors import UsageError
from hedgerow.simulation.world import Setup
from tests.assurance.evaluation.worlds import PRICES, WIDE, logged, setup_of
from tests.simulation.small import PlainServer

REMOTE, SPLIT = 2, 3


@pytest.fixture(scope="module")
def setup() -> Setup:
    return setup_of()


@pytest.fixture(scope="module")
def journal(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logged") / "journal"
    logged(path, setup)
    return path


def test_what_a_request_cost_is_what_the_world_says(setup: Setup, tmp_path: Path) -> None:
    """Agreement, bytes, lateness and reserves to the last bit; energy of lanes too, that of the radio as the core believed it."""
    path = tmp_path / "journal"
    for policy in (WIDE, by_name("device-only")):
        run = logged(path, setup, policy)
        found = read(path, by_name("device-only"), logged_by=policy)
        assert found.requests == len(run.quality)
        assert np.array_equal(found.outcomes["disagreement"], 1.0 - run.quality)
        assert np.array_equal(found.outcomes["uplink_bytes"], run.up_bytes)
        assert np.array_equal(found.outcomes["reserve"], run.reserve)
        assert np.array_equal(found.outcomes["late"], run.late)
        silent = run.up_bytes == 0
        assert found.outcomes["energy_mj"][silent] == pytest.approx(run.energy_mj[silent], abs=1e-3)
        assert found.outcomes["energy_mj"].sum() == pytest.approx(run.energy_mj.sum(), rel=0.15)
        assert found.probe_bytes == run.probe_bytes
        parts = found.outcomes["energy_mj"] + PRICES.disagreement_mj * found.outcomes["disagreement"]
        assert found.outcomes["cost_mj"] == pytest.approx(parts + PRICES.reserve_mj * found.outcomes["reserve"])


def test_weights_are_one_over_what_the_log_stated(journal: Path) -> None:
    found = read(journal, by_name("only:cloud:big:jpeg:75"), logged_by=WIDE)
    matched = found.weight > 0
    assert 0.1 < matched.mean() < 0.9
    assert np.array_equal(matched, found.logged_arm == found.asked_arm)
    assert found.weight[matched] == pytest.approx(1.0 / found.chance[matched])
    assert found.randomised
    assert found.weight.mean() == pytest.approx(1.0, abs=6 * found.weight.std() / np.sqrt(found.requests))


@pytest.mark.parametrize("name", ["ours", "neurosurgeon", "ans", "only:local:small"])
def test_a_policy_asked_about_its_own_journal_chose_what_is_there(setup: Setup, tmp_path: Path, name: str) -> None:
    """None included: what it leaves to the core is found to be the arm that the core then ran."""
    path = tmp_path / "journal"
    logged(path, setup, by_name(name))
    found = read(path, by_name(name))
    assert np.array_equal(found.logged_arm, found.asked_arm)
    assert np.array_equal(found.weight, np.ones(found.requests))
    assert np.array_equal(found.chance, np.ones(found.requests))
    assert not found.randomised


def test_one_that_draws_is_weighed_by_both_propensities(journal: Path) -> None:
    found = read(journal, WIDE, logged_by=WIDE)
    assert found.weight == pytest.approx(np.ones(found.requests))
    assert (found.logged_arm != found.asked_arm).any(), "it draws by another seed than the log did"


@pytest.mark.parametrize("name", ["only:cloud:big:jpeg:75", "only:split:small@1:q4"])
def test_what_is_left_to_the_core_is_the_local_arm_that_it_runs(tmp_path: Path, name: str) -> None:
    setup, path = setup_of("blackouts", 5), tmp_path / "journal"
    run = logged(path, setup, by_name(name))
    found = read(path, by_name(name))
    left = ~setup.table.is_remote[found.logged_arm]
    assert 10 < left.sum() < found.requests, "the breaker closed the link for some"
    assert [run.source[request] for request in np.flatnonzero(left)] == ["local"] * int(left.sum())
    assert np.array_equal(run.quality[left], setup.table.quality[found.logged_arm[left]])


@dataclass
class Listening:
    """Wants the remote arm where it may; keeps what it is told and shown."""

    name: str = "listening"
    uses_reserve: bool = True
    wanted: dict[int, int] = field(default_factory=dict)
    told: list[Feedback] = field(default_factory=list)

    def choose(self, view: View) -> Choice | None:
        arm = REMOTE if view.admissible[REMOTE] else 0
        self.wanted[view.request] = arm
        return chosen(view, arm)

    def learn(self, feedback: Feedback) -> None:
        self.told.append(feedback)


def test_one_that_learns_hears_only_of_what_it_would_have_done(journal: Path) -> None:
    policy = Listening()
    found = read(journal, policy, logged_by=WIDE)
    assert len(policy.wanted) == found.requests
    assert 20 < len(policy.told) < found.requests
    assert all(each.arm == policy.wanted[each.request] == REMOTE for each in policy.told)


class Writing:
    """Writes to what it is shown."""

    name, uses_reserve = "writing", True

    def choose(self, view: View) -> Choice | None:
        view.cost_mj[:] = 0.0
        return None


class Drawing:
    """Draws, and does not say how."""

    name, uses_reserve = "drawing", True

    def choose(self, view: View) -> Choice | None:
        every = np.flatnonzero(view.admissible).tolist()
        return chosen(view, every[view.request % len(every)], propensity=1 / len(every))


def test_what_cannot_be_asked_is_told(journal: Path, setup: Setup, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot evaluate it: policy 'writing' raised ValueError"):
        read(journal, Writing(), logged_by=WIDE)
    with pytest.raises(UsageError, match="'cloud-only' holds no reserve, unlike 'exploring-wide'"):
        read(journal, by_name("cloud-only"), logged_by=WIDE)
    with pytest.raises(UsageError, match="no policy 'exploring-wide'; there are"):
        read(journal, by_name("ours"))
    logged(tmp_path / "drawn", setup, Drawing())
    with pytest.raises(UsageError, match="draws but has no propensities"):
        read(tmp_path / "drawn", by_name("ours"), logged_by=Drawing())


def test_broken_journals_are_told(journal: Path, tmp_path: Path) -> None:
    lines, broken = journal.read_bytes().splitlines(keepends=True), tmp_path / "broken"

    def refused(data: bytes, words: str) -> None:
        broken.write_bytes(data)
        with pytest.raises(UsageError, match=words):
            read(broken, by_name("ours"), logged_by=WIDE)

    refused(b"".join(lines)[:-30], rf"line {len(lines)}: not a step of a journal, or cut short")
    refused(lines[0][:200], "cut short within its first line")
    refused(b"", "is empty")
    refused(b'{"format": 9}\n', "format 9; this version reads format 1")
    refused(b"time_s,rtt_ms\n", "not a journal")
    place = next(number for number, text in enumerate(lines) if b'"propensity":0.' in text)
    old = lines[place].partition(b',"propensity":')
    without = old[0] + b"}" + old[2].partition(b"}")[2]
    refused(
        b"".join([*lines[:place], without, *lines[place + 1 :]]), "state no propensities: an older version wrote it"
    )
    other = lines[place].replace(b'"propensity":0.', b'"propensity":0.1')
    refused(
        b"".join([*lines[:place], other, *lines[place + 1 :]]), f"step {place - 1} does not replay as it was recorded"
    )


def test_of_a_request_that_is_tried_again_the_first_choice_counts(tmp_path: Path) -> None:
    """A server that refuses all, as it would take longer than there is."""
    setup, path = setup_of("steady", 5, count=30), tmp_path / "journal"
    setup = replace(setup, server=lambda: PlainServer(100_000 * MS))
    stream = replace(setup.streams[0], criticality=Criticality.BACKGROUND)
    logged(path, replace(setup, streams=(stream,)))
    text = path.read_bytes()
    found = read(path, by_name("only:cloud:big:jpeg:75"), logged_by=WIDE)
    assert text.count(b'["Decision",') > found.requests + found.unended
    matched = found.weight > 0
    assert found.weight[matched] == pytest.approx(1 / found.chance[matched])


def test_requests_that_had_not_ended_are_left_out_and_counted(journal: Path, tmp_path: Path) -> None:
    lines, cut = journal.read_bytes().splitlines(keepends=True), tmp_path / "cut"
    place = max(number for number, text in enumerate(lines) if b'"Decision"' in text)
    cut.write_bytes(b"".join(lines[: place + 1]))
    whole, found = (read(path, by_name("ours"), logged_by=WIDE) for path in (journal, cut))
    assert (whole.unended, found.unended) == (0, 1)
    assert found.requests == whole.requests - 1
    for name in COLUMNS:
        assert np.array_equal(found.outcomes[name], whole.outcomes[name][:-1])
