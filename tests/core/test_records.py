"""What is promised where nobody says otherwise: a changed default is a changed promise, and is changed here too."""

from hedgerow.core.arms import Energy
from hedgerow.core.certificate import Allowance, Rule
from hedgerow.core.records import MS, SECOND, Criticality, Limits, Margins, Prices, Stream


def test_defaults_of_what_a_caller_gives() -> None:
    stream = Stream("camera", 100)
    assert stream == Stream("camera", 100, Criticality.MISSION, None, False, 60 * SECOND, 0)
    assert (SECOND, MS) == (10**9, 10**6)
    assert Margins() == Margins(5 * MS, 16 * MS, 2 * MS)
    assert Prices() == Prices(0.0, 2000.0, 20.0)
    assert Energy() == Energy(4000.0, 1200.0, 2.0)


def test_defaults_of_the_limits() -> None:
    limits = Limits()
    assert (limits.streams_max, limits.requests_in_flight_max, limits.arms_max) == (64, 256, 4096)
    assert (limits.belief_samples_max, limits.belief_window_max, limits.late_answers_kept_max) == (48, 300, 256)
    assert (limits.loss_after_ns, limits.failures_to_open, limits.unanswered_wait_ns) == (100 * MS, 2, 2 * SECOND)
    assert (limits.probe_silence_ns, limits.probe_bytes, limits.probe_timeout_ns) == (SECOND, 8192, 500 * MS)
    assert (limits.probe_silence_max_ns, limits.probe_bytes_min, limits.probe_sending_ns) == (8 * SECOND, 2048, 20 * MS)
    assert (limits.probe_margin_ns, limits.reopen_first_ns, limits.reopen_last_ns) == (SECOND, 200 * MS, 800 * MS)
    assert (limits.overload_queue_ns, limits.retry_background_ns) == (200 * MS, 500 * MS)
    assert (limits.audit_share, limits.audit_spacing_ns, limits.audit_wait_ns) == (0.02, SECOND, 2 * SECOND)
    assert (limits.audits_max, limits.audit_allowance, limits.audit_false_alarm) == (4, 0.05, 0.001)
    assert limits.seed == 0


def test_defaults_of_the_rule_between_modes() -> None:
    assert Rule() == Rule(3, 10 * SECOND, 10 * SECOND, 600 * SECOND, None, None, 0.05, 5 * SECOND)
    assert Allowance("camera", ("small",)).keep_every == 1
