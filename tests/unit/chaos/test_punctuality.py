"""When an installation is on time again, from constructed arrivals."""

from tests.acceptance.chaos.punctuality import Recovery, recovered_at, recovery

JOBS = ("a", "b")


def arrivals(
    until: int, *, late: dict[int, float] | None = None, never: range = range(0)
) -> dict[str, dict[int, float]]:
    """One arrival per second up to `until`, a quarter late, but those `late` by more, and those that `never` came."""
    lateness = {second: (late or {}).get(second, 0.25) for second in range(until) if second not in never}
    return {job: {second: second + by for second, by in lateness.items()} for job in JOBS}


def test_an_installation_that_was_never_late_has_recovered_at_once():
    assert recovery(arrivals(40), JOBS, struck=10.2, healed=12.6, until=30.0) == Recovery(0, 0.25, 0)


def test_what_arrives_five_seconds_late_counts_as_late():
    seen = recovery(arrivals(40, late={13: 5.0, 14: 4.9}), JOBS, struck=10.2, healed=10.2, until=30.0)
    assert (seen.seconds, seen.worst_seconds, seen.missing) == (3, 5.0, 0)


def test_uncalled_occurrences_are_counted_and_delay_recovery():
    seen = recovery(arrivals(40, never=range(11, 20)), JOBS, struck=10.2, healed=10.2, until=30.0)
    assert (seen.seconds, seen.missing) == (9, 18)


def test_one_late_job_delays_recovery():
    told = {**arrivals(40), "b": arrivals(40, never=range(11, 15))["b"]}
    assert recovery(told, JOBS, struck=10.2, healed=10.2, until=30.0).seconds == 4


def test_a_relapse_counts_to_its_end():
    seen = recovery(arrivals(40, never=range(18, 20)), JOBS, struck=10.2, healed=10.2, until=30.0)
    assert seen.seconds == 9


def test_an_installation_that_stays_late_never_recovers():
    assert recovery(arrivals(12), JOBS, struck=10.2, healed=10.2, until=30.0).seconds is None
    assert recovered_at(arrivals(12), JOBS, after=10.2, until=30.0) is None


def test_a_later_fault_does_not_count_against_an_earlier_one():
    assert recovery(arrivals(40, late={28: 20.0}), JOBS, struck=10.2, healed=10.2, until=30.0).seconds == 0
