"""Fitting a router: too few are refused with how many would be enough, false alarms lie within chance, the command writes a file."""

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hedgerow.adaptation import routing
from hedgerow.adaptation.routing import Seen
from hedgerow.cli import adapt
from hedgerow.errors import UsageError
from hedgerow.models.unusual import Scorer
from tests.device.small import pair_task

RANDOM = np.random.default_rng(4)


def seen(count: int) -> Seen:
    return Seen(RANDOM.normal(size=(count, 5)), RANDOM.uniform(0, 1, count))


def test_false_alarms_lie_within_chance(tmp_path: Path) -> None:
    scorer = routing.fit(pair_task(tmp_path), "small", seen(150), seen(400))
    found = routing.alarms(scorer, seen(500), 0.05)
    assert found.alarms <= found.highest
    assert (found.samples, found.lowest < 25 < found.highest) == (500, True)


def test_the_command(tmp_path: Path) -> None:
    pair_task(tmp_path)
    for folder in ("usual", "odd"):
        (tmp_path / folder).mkdir()
        for number in range(150 if folder == "usual" else 8):
            frame = np.zeros((20, 30, 3))
            frame[:10] = 200 if folder == "usual" else 0
            noisy = np.clip(frame + RANDOM.normal(0, 12, frame.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / folder / f"{number:03d}.png")
    app, out = typer.Typer(), tmp_path / "router.npz"
    adapt.register(app)
    app.command()(lambda: None)
    told = ["adapt", "route", str(tmp_path / "pair.toml"), "--images", str(tmp_path / "usual"), "-o", str(out)]
    done = CliRunner().invoke(
        app, [*told, "--false-alarm", "0.1", "--unusual", str(tmp_path / "odd")], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert "false alarms: " in done.stdout
    assert "odd: 8 of 8 called unusual" in done.stdout
    assert Scorer.load(out).model == "small"
    with pytest.raises(UsageError, match="not overwritten"):
        CliRunner().invoke(app, told, catch_exceptions=False)
    with pytest.raises(UsageError, match="at least 1999 are needed"):
        CliRunner().invoke(app, [*told[:-1], str(tmp_path / "n.npz"), "--false-alarm", "0.001"], catch_exceptions=False)
