"""A streams file as it should be, and every way to write one wrong, each told in one line that names the place."""

import pytest

from hedgerow.assurance.certification import checker
from hedgerow.assurance.certification.proving import prove
from hedgerow.assurance.certification.streams import parse_streams
from hedgerow.core.records import MS, SECOND, Criticality
from hedgerow.errors import UsageError
from tests.assurance.certification.examples import STREAMS, inputs

WHOLE = """
format = 1
[[stream]]
name = "front"
period_ms = 50
deadline_ms = 120.5
capture_delay_ms = 4
jitter_ms = 1.5
criticality = "safety"
reserves = ["small"]
safe_value = { brake = 1.0 }
expiry_ms = 900
[[stream]]
name = "side"
period_ms = 100
deadline_ms = 150
[[stream]]
name = "map"
period_ms = 1000
deadline_ms = 5000
criticality = "background"
[[lane]]
name = "cpu"
margin_share = 0.25
device_factor = 3
[[mode]]
name = "all"
[[mode]]
name = "less"
streams.side = { keep_every = 2, reserves = ["small"] }
streams.front = { reserves = [] }
[margins]
timer_ms = 3
[rule]
exceedances_max = 1
window_s = 5
hot_celsius = 85
cool_celsius = 75
"""
ONE = 'format = 1\n[[stream]]\nname = "a"\nperiod_ms = 10\ndeadline_ms = 20\n'


def test_every_field_is_read() -> None:
    found = parse_streams(WHOLE)
    front, side, background = found.streams
    assert (front.period_ns, front.deadline_ns, front.latest_arrival_ns) == (50 * MS, 120_500_000, 5_500_000)
    assert front.criticality is Criticality.SAFETY
    assert front.safe_value == {"brake": 1.0}
    assert front.expiry_ns == 900 * MS
    assert side.reserves is None
    assert not side.has_safe_value
    assert not background.reserved
    assert found.lane("cpu").margin_share == 0.25
    assert found.device_factor == 3
    assert found.timer_ns == 3 * MS
    assert found.rule.window_ns == 5 * SECOND
    assert found.rule.hot_celsius == 85
    every, less = found.modes
    assert found.reserves(every, front) == ("small",)
    assert found.reserves(less, front) == ()
    assert less.change("side").keep_every == 2


def test_without_modes_there_is_one_nominal_one() -> None:
    found = parse_streams(ONE)
    assert [mode.name for mode in found.modes] == ["nominal"]
    assert not found.modes_declared


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("format = 2", "format = 1"),
        ("format = true", "format = 1"),
        ("format = ", "not TOML"),
        ("format = 1", "no [[stream]]"),
        (ONE + "colour = 1", "stream 'a': unknown key 'colour'"),
        ("colour = 1\n" + ONE, "unknown key 'colour'"),
        (ONE.replace("10", "0"), "period_ms is 0"),
        (ONE.replace("10", "-5"), "period_ms is -5"),
        (ONE.replace("10", "nan"), "period_ms is nan"),
        (ONE.replace("10", "inf"), "period_ms is inf"),
        (ONE.replace("10", "1e99"), "period_ms"),
        (ONE.replace("10", "1" + "0" * 400), "period_ms"),
        (ONE.replace("10", "true"), "must be a number"),
        (ONE.replace("10", '"10"'), "must be a number"),
        (ONE.replace("period_ms = 10\n", ""), "needs period_ms"),
        (ONE.replace('"a"', '""'), "needs a name"),
        (ONE.replace('"a"', "3"), "needs a name"),
        (ONE + "capture_delay_ms = 20", "arrive only at its deadline"),
        (ONE + "jitter_ms = 10", "jitter_ms must be less"),
        (ONE + 'criticality = "vital"', "safety, mission or background"),
        (ONE + "reserves = 3", "list of names"),
        (ONE + 'reserves = ["m", "m"]', "names something twice"),
        (ONE + "reserves = []", "needs a safe_value"),
        (ONE + 'criticality = "background"\nreserves = ["m"]', "holds no reserve"),
        (ONE + ONE[10:], "two streams are called 'a'"),
        (ONE.replace("[[stream]]", "[stream]"), "write [[stream]]"),
        (ONE + '[[lane]]\nname = "l"\nspeed = 3', "lane 'l': unknown key 'speed'"),
        (ONE + '[[lane]]\nname = "l"\ncores = [0, 1]', "lane 'l': unknown key 'cores'"),
        (ONE + '[[lane]]\nname = "l"\nmargin_share = -1', "margin_share is -1"),
        (ONE + '[[lane]]\nname = "l"\ndevice_factor = 0.5', "device_factor is 0.5"),
        (ONE + '[[lane]]\nname = "l"\n[[lane]]\nname = "k"\ndevice_factor = 2', "different device_factors"),
        (ONE + '[[mode]]\nname = "m"\nstreams.b = {}', "names stream 'b'"),
        (ONE + '[[mode]]\nname = "m"\nstreams.a = { reserves = [] }', "no safe_value"),
        (ONE + '[[mode]]\nname = "m"\nstreams.a = { keep_every = 1.5 }', "whole number"),
        (ONE + '[[mode]]\nname = "m"\nstreams.a = { keep = 2 }', "unknown key 'keep'"),
        (ONE + '[[mode]]\nname = "m"\nstreams.a = 2', "must be a table"),
        (ONE + "[margins]\ntimer_ms = -1", "timer_ms"),
        (ONE + "[margins]\nwake_ms = 1", "unknown key 'wake_ms'"),
        (ONE + "[rule]\nhot_celsius = 80", "together"),
        (ONE + "[rule]\nhot_celsius = 80\ncool_celsius = 90", "together"),
        (ONE + "[rule]\nreturn_after_s = 700", "return_after_max_s"),
        (ONE + "[rule]\nexceedances_max = 1.5", "whole number"),
        (ONE + '[[mode]]\nname = "m"\n' * 17, "two modes"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_streams(text)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


REUSING = "reuse_below = 0.1\nreuse_age_max_ms = 1500\n"


def test_reuse_is_declared_whole_or_not_at_all() -> None:
    front = parse_streams(STREAMS.replace("safe_value", f"{REUSING}safe_value")).streams[0]
    assert (front.reuse_below, front.reuse_age_max_ns) == (0.1, 1500 * MS)
    assert parse_streams(STREAMS).streams[0].reuse_below is None
    for half in REUSING.splitlines():
        with pytest.raises(UsageError, match="go together"):
            parse_streams(STREAMS.replace("safe_value", f"{half}\nsafe_value"))


def test_reuse_changes_nothing_in_the_proof() -> None:
    plain, reusing = (
        prove(inputs(text)).document for text in (STREAMS, STREAMS.replace("safe_value", f"{REUSING}safe_value"))
    )
    assert plain is not None
    assert reusing is not None
    assert plain.modes == reusing.modes
    assert checker.check(reusing) == []
