"""The pace of pruning: short batches, and pauses that leave the database to others."""

from hypothesis import given
from hypothesis import strategies as st

from runs.retention.prune import BATCH_SECONDS, BEHIND_SECONDS, FIRST_SIZE, MAX_SIZE, MIN_SIZE, Pace


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 600))))
def test_batches_and_pauses_stay_within_their_limits(batches: list[tuple[float, float]]) -> None:
    pace = Pace()
    for took, behind in batches:
        rest = pace.after(took, behind)
        assert MIN_SIZE <= pace.size <= MAX_SIZE
        assert 0 < rest <= 0.5


def test_batches_grow_while_fast_and_shrink_when_slow() -> None:
    pace = Pace()
    pace.after(BATCH_SECONDS / 10, 0)
    assert pace.size == FIRST_SIZE * 2
    pace.after(BATCH_SECONDS, 0)
    assert pace.size == FIRST_SIZE * 2
    pace.after(BATCH_SECONDS * 3, 0)
    assert pace.size == FIRST_SIZE


def test_the_pause_is_as_long_as_the_batch_and_longer_under_lag() -> None:
    assert Pace().after(0.04, 0) == 0.04
    assert Pace().after(0.04, BEHIND_SECONDS * 2) == 0.16
