"""How soon audits find a cloud that lies, and how often they accuse one that does not: `python bench/audit_delay.py [--json]`.

Simulated, with the core's own test (`hedgerow.core.audit.Trust`) at the default false-alarm rate and independent audits. An
expected disagreement p is what an honest cloud shows at worst; a lying one answers a share of requests with a label that the
device does not give. Counts of audits until trust ends: median and nine of ten. `never`: the liar stays below p.
"""

import argparse
import json

import numpy as np

from hedgerow.core.audit import Trust
from hedgerow.core.records import Limits

RATE = Limits().audit_false_alarm / 2  # of each of a link's two tests
SESSIONS, AUDITS_MAX = 400, 20_000
EXPECTED = (0.05, 0.15, 0.35, 0.6)
LIES = (1.0, 0.5, 0.2, 0.1)
HONEST_BEFORE = (0, 1000)
FALSE_ALARM_SESSIONS, FALSE_ALARM_AUDITS = 2000, 1000


def found_after(random: np.random.Generator, expected: float, lies: float, honest_before: int) -> int | None:
    """Audits from the first lie to the alarm in one session; an honest answer differs half as often as expected at worst."""
    trust, honest = Trust(RATE), expected / 2
    for differs in (random.random(honest_before) < honest).tolist():
        if trust.observe(not differs, expected):
            return 0
    for number, differs in enumerate((random.random(AUDITS_MAX) < lies + (1 - lies) * honest).tolist(), start=1):
        if trust.observe(not differs, expected):
            return number
    return None


def accused(random: np.random.Generator, expected: float) -> bool:
    """Whether an honest cloud at the very edge of what is expected is ever accused."""
    trust = Trust(RATE)
    draws = (random.random(FALSE_ALARM_AUDITS) < expected).tolist()
    return any(trust.observe(not differs, expected) for differs in draws)


def quantile(counts: list[int | None], share: float) -> int | None:
    """None where so many were not found."""
    ordered = sorted(AUDITS_MAX + 1 if count is None else count for count in counts)
    found = ordered[int(share * (len(ordered) - 1))]
    return None if found > AUDITS_MAX else found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    as_json = parser.parse_args().json
    random = np.random.default_rng(0)
    rows = [
        {
            "expected": p,
            "lies": lies,
            "honest_before": before,
            "median": quantile(counts, 0.5),
            "p90": quantile(counts, 0.9),
        }
        for p in EXPECTED
        for lies in LIES
        for before in HONEST_BEFORE
        for counts in [
            [
                found_after(random, p, lies, before)
                for _ in range(SESSIONS if lies + (1 - lies) * p / 2 > 1.2 * p else 20)
            ]
        ]
    ]
    alarms = sum(accused(random, EXPECTED[index % len(EXPECTED)]) for index in range(FALSE_ALARM_SESSIONS))
    if as_json:
        print(json.dumps({"rows": rows, "false_alarms": alarms, "sessions": FALSE_ALARM_SESSIONS}))
        return
    print(f"{'expected':>8} {'lies':>6} {'honest before':>14} {'median':>7} {'9 of 10':>8}")
    for row in rows:
        shown = [("never" if row[name] is None else str(row[name])) for name in ("median", "p90")]
        print(f"{row['expected']:>8} {row['lies']:>6} {row['honest_before']:>14} {shown[0]:>7} {shown[1]:>8}")
    print(f"honest at the edge: {alarms} of {FALSE_ALARM_SESSIONS} sessions of {FALSE_ALARM_AUDITS} audits accused")


if __name__ == "__main__":
    main()
