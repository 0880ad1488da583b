"""The waits between the attempts of a callback."""

import random

from hypothesis import given
from hypothesis import strategies as st

from runs.callbacks.waits import ATTEMPTS, wait_seconds


@given(st.randoms(use_true_random=False))
def test_each_wait_is_as_documented_give_or_take_a_tenth(rng: random.Random) -> None:
    planned = (10, 300, 1800, 8400)
    assert len(planned) == ATTEMPTS - 1
    for number, seconds in enumerate(planned, start=1):
        assert 0.9 * seconds <= wait_seconds(number, rng) <= 1.1 * seconds
