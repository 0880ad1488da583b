"""Percentiles from bins agree with those by rank within two per cent."""

import math

from hypothesis import given
from hypothesis import strategies as st

from runs.stats.histograms import GROWTH, percentile


def bin_of(milliseconds: int) -> int:
    """Bin as the database does, which another test checks."""
    return 0 if milliseconds == 0 else 1 + math.ceil(math.log(milliseconds) / math.log(GROWTH))


@given(st.lists(st.integers(0, 10**10), min_size=1), st.sampled_from([1, 50, 95, 99, 100]))
def test_a_percentile_is_the_value_of_its_rank_within_two_per_cent(values: list[int], percent: int) -> None:
    bins: dict[int, int] = {}
    for value in values:
        bins[bin_of(value)] = bins.get(bin_of(value), 0) + 1
    exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
    found = percentile(bins, percent)
    assert found is not None
    assert abs(found - exact) <= 0.02 * exact + 0.5
    assert exact >= 25 or found == exact


def test_an_empty_histogram_has_no_percentile() -> None:
    assert percentile({}, 50) is None
