"""What needs the extra `rl`: the environment by Gymnasium's own checker, the exported network against PyTorch's, a run that resumes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hedgerow.core.policies.learned import Network
from hedgerow.core.policies.learned_features import seen
from hedgerow.errors import UsageError
from hedgerow.simulation.learning.episode import observation
from hedgerow.simulation.learning.weights import load, module_text
from hedgerow.simulation.learning.worlds import Worlds
from tests.core.test_policies_learned import LONG, TABLES, drawn, views

HINT = "needs the extra 'rl': pip install 'hedgerow[rl]'"


@pytest.mark.filterwarnings("ignore")
def test_the_environment_passes_gymnasiums_own_checker() -> None:
    pytest.importorskip("gymnasium", reason=HINT)
    from gymnasium.utils.env_checker import check_env

    from hedgerow.simulation.learning.environment import HedgerowEnv

    environment = HedgerowEnv(Worlds([], requests=15))
    check_env(environment, skip_render_check=True)
    environment.close()


def test_an_environment_tells_its_cost_at_the_end_and_then_wants_a_reset() -> None:
    pytest.importorskip("gymnasium", reason=HINT)
    from hedgerow.simulation.learning.environment import HedgerowEnv

    environment = HedgerowEnv(Worlds([], seed=2, requests=15))
    with pytest.raises(UsageError, match="reset"):
        environment.step(0)
    first, _ = environment.reset(options={"world": 1})
    again, _ = environment.reset(options={"world": 1})
    np.testing.assert_array_equal(first, again)
    total, over = 0.0, False
    info: dict[str, Any] = {}
    while not over:
        _, reward, over, _, info = environment.step(0)
        total -= reward
    assert info["cost"] == pytest.approx(total / info["decisions"])
    with pytest.raises(UsageError, match="reset"):
        environment.step(0)


def test_the_exported_network_scores_as_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason=HINT)
    pytest.importorskip("stable_baselines3", reason=HINT)
    from hedgerow.simulation.learning.network import ArmNetwork, exported

    torch.manual_seed(0)
    network = ArmNetwork()
    torch.nn.init.normal_(network.last.weight, std=0.3)
    text = Network.of_text(exported(network).text())
    for table in TABLES:
        for view in views(table):
            what = seen(view)
            assert what is not None
            with torch.no_grad():
                there = network(torch.from_numpy(observation(what)[None].astype(np.float32)))[0].numpy()
            here = what.own[0] + text.correction(what)
            np.testing.assert_allclose(here, there[: len(what.columns)], atol=1e-5)


def test_weights_travel_as_a_module_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    path, network = tmp_path / "weights.py", drawn(8)
    path.write_text(module_text(network.text()))
    what = seen(views(LONG)[0])
    assert what is not None
    np.testing.assert_array_equal(load(path).correction(what), network.correction(what))
    path.write_text("x = 1\n")
    with pytest.raises(UsageError, match="no WEIGHTS"):
        load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no module of weights"):
        load(path)
    with pytest.raises(UsageError, match="there are no weights"):
        load(tmp_path / "none.py")
    with pytest.raises(UsageError, match="begin with"):
        module_text("nothing")


def test_training_overwrites_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=HINT)
    pytest.importorskip("stable_baselines3", reason=HINT)
    from hedgerow.simulation.learning.training import main

    out = tmp_path / "weights.py"
    out.write_text("mine")
    assert main(["--links", str(tmp_path), "--work", str(tmp_path / "work"), "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "mine"
