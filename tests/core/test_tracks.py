"""What is remembered of tracks: bounded, fading, forgotten after a declared change."""

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.core.arbitration import EARLIER
from hedgerow.core.tracks import Tracks
from hedgerow.core.views import ModelView, Seen

MS = 1_000_000
CAR = Seen("", (0, 1, 2), (0.7, 0.2, 0.1))


def test_a_track_gives_what_it_was_told_with_its_age() -> None:
    tracks = Tracks(4, 2)
    assert tracks.earlier(("front", 0), 0) is None
    tracks.remember(("front", 0), 10 * MS, CAR)
    assert tracks.earlier(("front", 0), 40 * MS) == ModelView(EARLIER, "", Seen("", (0, 1), (0.7, 0.2)), 30 * MS)
    assert tracks.earlier(("front", 1), 40 * MS) is None


def test_the_track_that_was_longest_not_touched_is_forgotten() -> None:
    tracks = Tracks(3, 8)
    for number in range(3):
        tracks.remember(("front", number), number, CAR)
    tracks.remember(("front", 0), 5, CAR)
    tracks.remember(("front", 3), 6, CAR)
    assert len(tracks) == 3
    assert [tracks.earlier(("front", n), 9) is not None for n in range(4)] == [True, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=300))
def test_memory_never_grows_past_its_limit(told: list[tuple[int, bool]]) -> None:
    tracks = Tracks(7, 2)
    for moment, (number, change) in enumerate(told):
        if change:
            tracks.begin(("s", number), moment)
        else:
            tracks.remember(("s", number), moment, CAR)
        assert len(tracks) <= 7
        kept = tracks.earlier(("s", number), moment)
        assert kept is None or len(kept.seen.labels) <= 2


def test_a_change_forgets_what_came_before_even_what_comes_later_of_it() -> None:
    tracks = Tracks(4, 8)
    tracks.remember(("front", 0), 10, CAR)
    tracks.begin(("front", 0), 20)
    assert tracks.earlier(("front", 0), 20) is None
    tracks.remember(("front", 0), 10, CAR)  # advice of a sample from before the change
    assert tracks.earlier(("front", 0), 30) is None
    tracks.remember(("front", 0), 20, CAR)
    tracks.remember(("front", 0), 10, Seen("", (2,), (1.0,)))
    kept = tracks.earlier(("front", 0), 30)
    assert kept is not None
    assert kept.seen == CAR
