"""What chance draws is a function of seed and purpose alone, and spread evenly."""

import os
import subprocess
import sys

from hedgerow.core.chance import RANGE, draw


def test_the_same_everywhere() -> None:
    code = "from hedgerow.core.chance import draw; print(draw(7, 'retry', 'cloud', 3))"
    others = {
        int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout)
        for env in (os.environ | {"PYTHONHASHSEED": "1"}, os.environ | {"PYTHONHASHSEED": "2"})
    }
    assert others == {draw(7, "retry", "cloud", 3)}


def test_seed_purpose_and_number_all_matter() -> None:
    drawn = [draw(*each) for each in ((7, "a", 1), (8, "a", 1), (7, "b", 1), (7, "a", 2), (7, "a", "1"))]
    assert len(set(drawn)) == len(drawn)


def test_spread_evenly() -> None:
    counts = [0] * 16
    for number in range(16_000):
        counts[draw(1, "x", number) * 16 // RANGE] += 1
    chi_square = sum((count - 1000) ** 2 / 1000 for count in counts)
    assert chi_square < 37.7  # the 0.999 quantile at 15 degrees of freedom
