"""Scoring: shares of all requests, late ones wrong; what the journal shows beside."""

from pathlib import Path

import pytest

from hedgerow.core import Arm, ArmTable, CrossStep, Limits, LocalModel, Margins, Prices, RunStep
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.policies import by_name
from hedgerow.core.records import MS, Status
from hedgerow.demo.score import score
from hedgerow.device.journal import Header, Journal
from tests.assurance.rows import row


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A short journal: one request answered by the device, and a probe that was answered."""
    small = LocalModel("small", "cpu", 0.8, (10 * MS,), (20 * MS,), (10 * MS,), (20 * MS,))
    arms = (
        Arm("local:small", (RunStep("device", "small", 0, 0, 10 * MS),), 0.8),
        Arm("cloud:small:raw", (CrossStep("cloud", "raw", 1000, MS, 2 * MS), RunStep("cloud", "small", 0, 0, MS)), 0.8),
    )
    header = Header(ArmTable(arms, (small,)), "device-only", Limits(), Margins(), Prices(), BudgetSettings())
    core = header.core()
    assert by_name(header.policy).uses_reserve
    path = tmp_path / "a.journal"
    kept = Journal(path, header)
    events: list[tuple[int, r.Event]] = [
        (0, r.StreamOpened(r.Stream("main", 100 * MS))),
        (1 * MS, r.RequestArrived(0, "main", 0)),
        (12 * MS, r.RunDone("cpu", 1, 0, (10 * MS,))),
        (45 * MS, r.ProbeAnswered(1, 30 * MS, 40 * MS, 8192)),
    ]
    for now_ns, event in events:
        kept.append(now_ns, event, core.step(event, now_ns=now_ns))
    kept.close()
    return path


def test_figures_keep_the_rules(journal: Path) -> None:
    rows = [
        row(0, 12.0, label_index=5),
        row(1, 120.0, label_index=6, status=Status.LATE),
        row(2, 10.0, label_index=9),
        row(3, 3.0, status=Status.FAILED),
    ]
    found = score("device-only", rows, journal, reference_answers=[5, 6], labels=[5, 1]).figures
    assert (found["requests"], found["in_time"], found["late"]) == (4, 2, 2)
    assert found["late_link"] + found["late_device"] == found["late"]
    assert (
        found["agreement"] == 0.25
    )  # the late one is right and does not count; frames 2 and 3 are frames 0 and 1 again
    assert found["correct"] == 0.25
    assert found["uplink_bytes"] == 8192  # the probe
    assert found["energy_mj"] > 4.0


def test_the_journal_is_replayed(journal: Path) -> None:
    assert score("device-only", [row(0, 12.0)], journal, [1], [1]).replayed == "equal in 4 steps"
