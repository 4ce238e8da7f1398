import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from hedgerow.emulation.generate import ATNT, SHIPPED, VERIZON, WIFI_SITE, LinkSpec, generate, to_csv
from hedgerow.emulation.traces import read_rows, shipped

TOOL = Path(__file__).parents[2] / "tools" / "make_links.py"
STATED = {
    "VERIZON": (VERIZON, (31, 51, 100, 591), (0.3, 4.1, 13, 28, 57), (0.2, 16, 50, 125, 353), 0.0064),
    "ATNT": (ATNT, (36, 60, 116, 245), (0.4, 4.2, 11, 24, 56), (0.6, 13, 41, 99, 245), 0.0023),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_file_is_what_the_script_writes(name: str) -> None:
    text = to_csv(generate(SHIPPED[name]))
    assert shipped()[name].read_text() == text
    assert len(text) < 20_000


def test_the_script_finds_nothing_to_change() -> None:
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seed_gives_the_same_course_and_another_seed_another() -> None:
    assert generate(VERIZON) == generate(VERIZON)
    assert generate(VERIZON) != generate(replace(VERIZON, seed=VERIZON.seed + 1))


@pytest.mark.parametrize("name", STATED)
def test_a_long_course_has_the_stated_quantiles(name: str) -> None:
    spec, rtt, uplink, downlink, loss = STATED[name]
    rows = generate(replace(spec, duration_s=20_000.0, handover_every_s=1e12))
    found = [row.rtt_ms for row in rows if row.rtt_ms is not None]
    for probability, value in zip((0.05, 0.5, 0.95, 0.99), rtt, strict=True):
        assert np.mean(np.array(found) <= value) == pytest.approx(
            probability, abs=0.02 if probability < 0.99 else 0.004
        )
    # Rates wander slowly (0.98 a step), so 20,000 s are about 2,000 independent looks.
    for probability, up, down in zip((0.05, 0.25, 0.5, 0.75, 0.95), uplink, downlink, strict=True):
        assert np.mean([row.uplink_mbps <= up for row in rows]) == pytest.approx(probability, abs=0.04)
        assert np.mean([(row.downlink_mbps or 0.0) <= down for row in rows]) == pytest.approx(probability, abs=0.04)
    assert (len(rows) - len(found)) / len(rows) == pytest.approx(loss, rel=0.25)


@pytest.mark.parametrize("spec", [VERIZON, ATNT, WIFI_SITE])
def test_a_quantity_passes_through_its_points(spec: LinkSpec) -> None:
    for quantity in (spec.rtt_ms, spec.uplink_mbps, spec.downlink_mbps):
        for probability, value in quantity.points:
            assert quantity.value(NormalDist().inv_cdf(probability)) == pytest.approx(value)
        values = [quantity.value(score / 10) for score in range(-50, 51)]
        assert values == sorted(values)


def test_a_poor_moment_is_poor_in_rate_and_round_trip() -> None:
    rows = [row for row in generate(replace(ATNT, duration_s=20_000.0, handover_every_s=1e12)) if row.rtt_ms]
    rates = np.argsort(np.argsort([row.uplink_mbps for row in rows]))
    trips = np.argsort(np.argsort([row.rtt_ms or 0.0 for row in rows]))
    assert -0.55 < np.corrcoef(rates, trips)[0, 1] < -0.2


def test_tunnels_and_handovers_lose_probes(tmp_path: Path) -> None:
    calm = replace(VERIZON, loss=0.0, handover_every_s=1e12)
    tunnel = generate(replace(calm, tunnels_s=((10.0, 12.0),)))
    assert [row.time_s for row in tunnel if row.rtt_ms is None] == pytest.approx([10 + i / 5 for i in range(10)])
    assert all(row.rtt_ms is not None for row in generate(calm))
    assert sum(row.rtt_ms is None for row in generate(replace(calm, handover_every_s=5.0))) > 5
    path = tmp_path / "back.csv"
    path.write_text(to_csv(tunnel))
    assert read_rows(path) == tunnel
