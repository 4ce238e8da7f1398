"""The curves of bottlenecks: on a small network, every way to cross is tried by the same rule, and nothing is trained."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.bottleneck.graph import assemble, part
from hedgerow.adaptation.bottleneck.transform import fit
from hedgerow.benchmarks.adapting import bottleneck
from hedgerow.benchmarks.adapting.bottleneck import Curve, Point
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.graph import Graph
from tests.adaptation.bottleneck.test_graph import exact_weights
from tests.adaptation.small_network import SIDE_PX, network, write_pictures, write_task

CUT = "one.output"


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "adapted" / "imagenet"
    folder.mkdir(parents=True)
    text = write_task(folder, **{"mobilenet-v2": network()})
    assert text == folder / "task.toml"
    write_pictures(tmp_path / "data" / "images", 30)
    monkeypatch.setattr(bottleneck, "PLAIN_CUTS", (CUT,))
    monkeypatch.setattr(bottleneck, "SCALES", (0.5, 1.0, 4.0))
    monkeypatch.setattr(bottleneck, "QUALITIES", (30, 95))
    monkeypatch.setattr(bottleneck, "SIDES", (16, 12))
    return Setting(tmp_path / "data", None, lambda _text: None)


def write_bottlenecks(folder: Path) -> None:
    chance = np.random.default_rng(0)
    graph = Graph.open(network())
    with Chain.open(network(), joints=[CUT]) as chain:
        samples = chance.normal(size=(12, 3, SIDE_PX, SIDE_PX)).astype(np.float32)
        features = np.concatenate([chain.run({"input": x[None]}, 1, 1).tensors[CUT] for x in samples])
    transform = fit(features.astype(np.float32), chance.normal(size=features.shape).astype(np.float32), 2)
    pieces = part(graph, None, CUT), part(graph, CUT, None)
    data = assemble(*pieces, exact_weights(transform), patch=2, blocks=(), scale=0.5, origin="a test")
    for name in ("mobilenet-v2-b25", "mobilenet-v2-b50"):
        (folder / f"{name}.onnx").write_bytes(data)


def test_without_what_is_judged_it_says_what_to_run(setting: Setting) -> None:
    with pytest.raises(UsageError, match="make adapt"):
        bottleneck.measure(setting)


def test_every_way_to_cross_has_its_curve(setting: Setting) -> None:
    write_bottlenecks(setting.made("imagenet").parent)
    found = {curve.name: curve for curve in bottleneck.curves(setting)}
    assert set(found) == {"25 %", "25 % prefix", "50 %", "50 % prefix", f"plain {CUT}", "image jpeg", "image webp"}
    half = found["50 %"].points
    assert [point.setting for point in half] == ["scale 4", "scale 1", "scale 0.5"]  # by rising bytes
    assert half[-1].agreement >= half[0].agreement
    prefix = found["50 % prefix"].points
    assert prefix[-1].agreement == pytest.approx(next(p.agreement for p in half if p.setting == "scale 1"))
    assert 0 < found["50 %"].share < 1
    assert len(found["image jpeg"].points) == 4
    figures = bottleneck.measure(setting)
    assert {"bytes_25", "bytes_50", "jpeg_bytes", "plain_bytes_50", "agreement"} <= figures.keys()


def test_the_smallest_that_reaches_what_is_asked_counts_else_the_one_that_agrees_most() -> None:
    points = [
        Point(str(size), size, agreement, None, 0.0) for size, agreement in ((100, 0.8), (200, 0.96), (300, 0.95))
    ]
    assert Curve("a", 0.5, tuple(points)).best().bytes == 200
    assert Curve("a", 0.5, tuple(points[:1])).best().bytes == 100
