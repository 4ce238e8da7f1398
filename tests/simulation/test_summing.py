"""What is said of a comparison, worked out again by hand from figures that are chosen."""

import numpy as np
import pytest

from hedgerow.simulation import cells, scenario
from hedgerow.simulation.comparing import Compared, Judged, Ran
from hedgerow.simulation.summing import summary, sums

TEXT = """format = 1
name = "chosen"
[[group]]
name = "all"
radios = [""]
deadlines_ms = [60, 90]
device_factors = [1]
"""
ARMS = ("local:a", "cloud:a", "cloud:b")
REQUESTS = 10
# by cell (60 ms, 90 ms) and link: each arm's cost in the table, the clairvoyants' two, hedgerow's, the third arm's real one
TABLE = {
    60: [((500.0, 300.0, 420.0), 200.0, 150.0, 260.0, 400.0), ((500.0, 700.0, 420.0), 240.0, 200.0, 300.0, 390.0)],
    90: [((100.0, 200.0, 300.0), 80.0, 60.0, 90.0, 300.0), ((100.0, 200.0, 300.0), 90.0, 70.0, 95.0, 300.0)],
}
TAKEN = {60: (4, 4, 2), 90: (20, 0, 0)}  # in the second cell one arm takes all: it counts for nothing


def ran(policy: str, cost: float, **more: object) -> Ran:
    told = np.arange(REQUESTS, dtype=np.int32) * 1000
    return Ran(policy, 0, REQUESTS, cost_mj=cost, told_us=told, **more)  # type: ignore[arg-type]


def made(error: str = "") -> Compared:
    whole = scenario.parse(TEXT, name="chosen")
    (course,) = cells.load_courses("drive-mixed")
    found = Compared(whole, [], [], [], ("hedgerow",))
    for deadline, links in TABLE.items():
        for place, (arms, bound, free, mine, third) in enumerate(links):
            link = course.named(f"link {place}")
            found.units.append(cells.Unit(cells.Cell("all", course.radio, float(deadline), 1.0), link, 0))
            taken = np.array(TAKEN[deadline], np.int64) * REQUESTS // sum(TAKEN[deadline])
            found.judged.append(Judged(ARMS, REQUESTS, (np.array(arms),), (bound,), (free,), (taken,)))
            real = dict(zip(ARMS, (*arms[:2], third), strict=True))
            rows = [ran("only:" + arm, cost) for arm, cost in real.items()]
            found.ran.append(
                [ran("device-only", 500.0), ran("hedgerow", mine, late=1, energy_mj=20.0, error=error), *rows]
            )
    return found


def test_the_best_arm_in_hindsight_is_the_least_of_the_tables_and_the_cores_figures() -> None:
    first, second = sums(made())
    assert first.hindsight.tolist() == [400.0, 390.0]  # as the core ran it, below the table's 840
    assert first.hindsight_arm == "cloud:b"
    assert second.hindsight.tolist() == [100.0, 100.0]
    assert (first.share, first.favourite) == (0.4, "local:a")


def test_cells_that_prove_nothing_are_listed_and_left_out() -> None:
    told = summary(made())
    assert (told["cells"], told["cells_counted"]) == (2, 1)
    assert [each["counts"] for each in told["by_cell"]] == [True, False]
    (row,) = told["policies"]
    assert row["requests"] == 2 * REQUESTS


def test_ratios_are_those_of_the_cells_that_count() -> None:
    (row,) = summary(made())["policies"]
    own, hindsight, bound = 560 / 20, 790 / 20, 440 / 20
    assert row["cost"] == own
    assert row["cost_over_hindsight"] == pytest.approx(own / hindsight, abs=1e-5)
    assert row["cost_over_clairvoyant"] == pytest.approx(own / bound, abs=1e-5)
    assert row["gap_closed"] == pytest.approx((hindsight - own) / (hindsight - bound), abs=1e-5)
    assert (row["late"], row["in_time"], row["energy_mj"], row["cells_below_hindsight"]) == (2, 0.9, 2.0, 1)
    assert (row["p50_ms"], row["p99_ms"]) == (5.0, 9.0)
    low, high = row["cost_over_clairvoyant_95"]
    assert 300 / 240 <= low <= 560 / 440 <= high <= 260 / 200


def test_the_oracles_own_rows_are_measured_likewise() -> None:
    rows = {row["name"]: row for row in summary(made())["oracles"]}
    assert rows["hindsight"]["gap_closed"] == 0.0
    assert rows["clairvoyant"]["gap_closed"] == 1.0
    assert rows["clairvoyant_free"]["cost"] == 350 / 20


def test_a_policy_with_an_error_has_no_figures_and_its_links_are_told() -> None:
    told = summary(made(error="ValueError: no"))
    (row,) = told["policies"]
    assert row["cost"] is None
    (error,) = told["errors"]
    assert (error["policy"], error["error"], len(error["links"])) == ("hedgerow", "ValueError: no", 4)
    assert told["by_cell"][0]["cost"] == {}
