from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.emulation.traces import Trace, TraceRow, read_rows, shipped
from hedgerow.errors import UsageError

HEADER = "time_s,rtt_ms,uplink_mbps,radio\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_a_row_holds_until_the_next_one(tmp_path: Path) -> None:
    trace = Trace.load(written(tmp_path, HEADER + "10.0,50,8,LTE\n10.2,60,16,LTE\n10.4,70,0,\n"), at_end="hold")
    assert [trace.at(t).rtt_ms for t in (0.0, 0.19, 0.2, 0.39, 0.4, 99.0)] == [50, 50, 60, 60, 70, 70]
    assert trace.at(0.3).uplink_bytes_per_s == 2_000_000
    assert trace.at(0.4).uplink_bytes_per_s == 0
    assert trace.at(0.3).downlink_bytes_per_s == 8_000_000  # four times the uplink where the file does not say
    assert trace.next_change_s(0.0) == pytest.approx(0.2)
    assert trace.next_change_s(0.45) is None


def test_a_trace_loops_one_step_after_its_last_row(tmp_path: Path) -> None:
    trace = Trace.load(written(tmp_path, HEADER + "0.0,50,8,\n0.2,60,8,\n0.4,70,8,\n"))
    assert trace.duration_s == pytest.approx(0.6)
    assert [trace.at(t).rtt_ms for t in (0.5, 0.61, 0.81, 6.05)] == [70, 50, 60, 50]
    assert trace.next_change_s(0.5) == pytest.approx(0.6)


def test_every_announced_change_is_a_change_reached(tmp_path: Path) -> None:
    rows = "".join(f"{i / 5:.1f},{10 + i},8,\n" for i in range(17))
    trace = Trace.load(written(tmp_path, HEADER + rows))
    moment, seen = 0.0, [trace.at(0.0).rtt_ms]
    for _ in range(60):
        following = trace.next_change_s(moment)
        assert following is not None
        assert following > moment
        moment = following
        seen.append(trace.at(moment).rtt_ms)
    assert seen == [10 + i % 17 for i in range(61)]


def test_lost_probes_stall_and_a_second_of_them_is_a_blackout(tmp_path: Path) -> None:
    short = "0.0,50,8,\n0.2,,8,\n0.4,60,8,\n"
    long = "".join(f"{i / 5:.1f},,8,\n" for i in range(3, 8)) + "1.6,70,8,\n"
    trace = Trace.load(written(tmp_path, HEADER + short + long))
    assert trace.at(0.3).stalled
    assert not trace.at(0.3).blackout
    assert trace.at(0.3).rtt_ms == 50
    assert not trace.at(0.4).frozen
    assert trace.at(1.0).blackout
    assert not trace.at(1.6).frozen


def test_an_offset_moves_the_site_but_never_below_a_millisecond(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "0.0,50,8,\n0.2,10,8,\n0.4,0.5,8,\n")
    trace = Trace.load(path, rtt_offset_ms=-20)
    assert [trace.at(t).rtt_ms for t in (0.0, 0.2, 0.4)] == [30, 1, 0.5]
    assert Trace.load(path, rtt_offset_ms=20).at(0.0).rtt_ms == 70


def test_a_downlink_column_is_used(tmp_path: Path) -> None:
    trace = Trace.load(written(tmp_path, "time_s,rtt_ms,uplink_mbps,radio,downlink_mbps\n0.0,50,8,x,24\n0.2,50,8,x,\n"))
    assert trace.at(0.0).downlink_bytes_per_s == 3_000_000
    assert trace.at(0.2).downlink_bytes_per_s == 4_000_000


BAD = {
    "empty": ("", "is empty"),
    "no header": ("0.0,50,8,\n0.2,50,8,\n", "line 1: the header lacks time_s, rtt_ms, uplink_mbps"),
    "missing column": ("time_s,rtt_ms,radio\n0.0,50,x\n", "line 1: the header lacks uplink_mbps"),
    "unknown column": ("time_s,rtt_ms,uplink_mbps,colour\n0.0,50,8,x\n", "line 1: the header has 'colour'"),
    "column twice": ("time_s,rtt_ms,uplink_mbps,rtt_ms\n0.0,50,8,5\n", "line 1: the header has a column twice"),
    "no rows": (HEADER, "line 1: a header but no rows"),
    "too few fields": (HEADER + "0.0,50,8,x\n0.2,50\n", "line 3: 2 fields"),
    "too many fields": (HEADER + "0.0,50,8,x,9\n", "line 2: 5 fields"),
    "blank line": (HEADER + "0.0,50,8,x\n\n0.4,50,8,x\n", "line 3: 0 fields"),
    "not a number": (HEADER + "0.0,50,8,x\n0.2,fast,8,x\n", "line 3: rtt_ms is 'fast'"),
    "NaN": (HEADER + "0.0,nan,8,x\n", "line 2: rtt_ms is nan"),
    "infinite": (HEADER + "0.0,50,inf,x\n", "line 2: uplink_mbps is inf"),
    "negative round trip": (HEADER + "0.0,-1,8,x\n", "line 2: rtt_ms is -1"),
    "negative rate": (HEADER + "0.0,50,-0.1,x\n", "line 2: uplink_mbps is -0.1"),
    "empty rate": (HEADER + "0.0,50,,x\n", "line 2: uplink_mbps is empty"),
    "empty time": (HEADER + ",50,8,x\n", "line 2: time_s is empty"),
    "time stands still": (HEADER + "0.0,50,8,x\n0.2,50,8,x\n0.2,50,8,x\n", "line 4: time_s 0.2 does not come after"),
    "time goes back": (HEADER + "0.4,50,8,x\n0.2,50,8,x\n", "line 3: time_s 0.2 does not come after"),
    "cut off": (HEADER + "0.0,50,8,x\n0.2,50,8", "line 3: 3 fields"),
    "cut off after the last comma": (HEADER + "0.0,50,8,x\n0.2,50,8,", "line 3: no newline"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        Trace.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        Trace.load(tmp_path / "trace.csv")
    with pytest.raises(UsageError, match="drive-mixed"):
        Trace.load(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("options", "message"), [({"at_end": "stop"}, "'stop'"), ({"rtt_offset_ms": float("nan")}, "offset")]
)
def test_a_bad_option_is_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Trace.load(written(tmp_path, HEADER + "0.0,50,8,\n"), **options)  # type: ignore[arg-type]


@given(st.integers(min_value=0, max_value=200))
def test_no_cut_of_a_good_file_passes_for_another_course(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    text = HEADER + "".join(f"{i / 5:.1f},{50 + i}.5,8.25,LTE\n" for i in range(12))
    whole = tuple(TraceRow(i / 5, 50.5 + i, 8.25, None, "LTE") for i in range(12))
    path = written(tmp_path_factory.mktemp("cut"), text[:cut])
    try:
        rows = read_rows(path)
    except UsageError:
        return
    assert rows == whole[: len(rows)]
    assert text[:cut].endswith("\n")


def test_the_shipped_links_load_by_name() -> None:
    assert set(shipped()) == {"drive-good", "drive-mixed", "drive-tunnel", "wifi-site"}
    for name in shipped():
        assert Trace.load(name).duration_s == pytest.approx(90.0)
    assert Trace.load("drive-tunnel").at(33.0).blackout


def test_every_recorded_drive_loads(shared_data: Path) -> None:
    paths = sorted((shared_data / "links").glob("*.csv"))
    assert paths
    for path in paths:
        trace = Trace.load(path)
        assert len(trace.rows) == len(path.read_text().splitlines()) - 1
