"""How long a callback waits for its next attempt. Pure."""

import random

#: The attempts of a callback, and those that sending it again adds.
ATTEMPTS = 5
#: Seconds after each attempt but the last: about three hours in total.
_WAITS = (10.0, 300.0, 1800.0, 8400.0)
_JITTER = 0.1


def wait_seconds(number: int, rng: random.Random) -> float:
    """Return the seconds to wait after attempt `number` of a series, from 1: a tenth more or less than planned."""
    planned = _WAITS[min(number, len(_WAITS)) - 1]
    return planned * rng.uniform(1 - _JITTER, 1 + _JITTER)
