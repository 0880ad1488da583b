"""A schedule's next firings, and warnings of DST changes."""

import datetime

import pytest

from jobs.schedule import Bounded, Schedule, clock_change_warnings, next_firings, parse_schedule, parse_timezone

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
BERLIN = "Europe/Berlin"


def understood(spelled: object, timezone: str, **choices: str) -> Schedule:
    found = parse_schedule(spelled, timezone=timezone, now=NOW, anchor=NOW, **choices)
    assert found is not None
    return found


def warned(spelled: object, timezone: str, *, until: datetime.datetime = NOW, **choices: str) -> list[str]:
    schedule = understood(spelled, timezone, **choices)
    return list(clock_change_warnings(schedule, spelled, parse_timezone(timezone), after=NOW, until=until))


@pytest.mark.parametrize(
    ("spelled", "choices", "told"),
    [
        ("30 2 * * *", {}, [
            "On 2027-03-28 in Europe/Berlin 02:30 does not exist: it fires at 03:00 instead.",
            "On 2027-10-31 in Europe/Berlin 02:30 happens twice: it fires the first time only.",
        ]),
        ("30 2 * * *", {"dst_gap": "skip", "dst_fold": "both"}, [
            "On 2027-03-28 in Europe/Berlin 02:30 does not exist: it is skipped.",
            "On 2027-10-31 in Europe/Berlin 02:30 happens twice: it fires both times.",
        ]),
        ("every day at 2:00 and 2:30", {}, [
            "On 2027-03-28 in Europe/Berlin 02:00 and 02:30 do not exist: it fires once, at 03:00 instead.",
            "On 2027-10-31 in Europe/Berlin 02:00 and 02:30 happen twice: it fires the first time only.",
        ]),
        ("0,30 2 * * 0", {"dst_gap": "skip"}, [
            "On 2027-03-28 in Europe/Berlin 02:00 and 02:30 do not exist: they are skipped.",
            "On 2027-10-31 in Europe/Berlin 02:00 and 02:30 happen twice: it fires the first time only.",
        ]),
        ("0 2,3 28 3 *", {}, [
            "On 2027-03-28 in Europe/Berlin 02:00 does not exist: there is one firing at 03:00, which is due anyway.",
        ]),
        ("*/5 2 * 3 *", {}, [
            "On 2027-03-28 in Europe/Berlin 12 times from 02:00 to 02:55 do not exist: nothing fires instead.",
        ]),
        ("0 */2 * 10 *", {}, ["On 2027-10-31 in Europe/Berlin 02:00 happens twice: it fires both times."]),
        ("30 2 * * 1", {}, []),
        ("*/5 * * * *", {}, []),
        ("30 * * * *", {}, []),
        ({"every_seconds": 90}, {}, []),
        ("in 5 minutes", {}, []),
        ("2027-03-28T02:30", {}, ["2027-03-28 02:30 does not exist in Europe/Berlin: it fires at 03:00 instead."]),
        ("2027-10-31 02:30:15", {}, [
            "2027-10-31 02:30:15 happens twice in Europe/Berlin: it fires the first time; add an offset to choose.",
        ]),
        ("2027-10-31T02:30+01:00", {}, []),
        ("2027-07-01T02:30", {}, []),
    ],
)  # fmt: skip
def test_dst_changes_are_warned_of(spelled: object, choices: dict[str, str], told: list[str]) -> None:
    assert warned(spelled, BERLIN, **choices) == told


def test_a_zone_without_dst_needs_no_warning() -> None:
    assert warned("30 2 * * *", "UTC") == warned("30 2 * * *", "Asia/Tokyo") == []


def test_warnings_cover_the_previewed_firings_up_to_ten_years() -> None:
    assert len(warned("30 2 * * *", BERLIN, until=NOW + datetime.timedelta(days=3 * 365))) == 6
    assert len(warned("30 2 * * *", BERLIN, until=NOW + datetime.timedelta(days=300 * 365))) == 20


@pytest.mark.parametrize("year", [1, 1969, 9998, 9999])
def test_a_preview_may_start_at_any_instant(year: int) -> None:
    at = datetime.datetime(year, 12, 31, 23, 59, tzinfo=datetime.UTC)
    for spelled in ("30 2 * * *", "every 7 minutes", "9999-12-31T22:59", "0002-01-01T00:00"):
        schedule = understood(spelled, BERLIN)
        firings = next_firings(schedule, at, 3)
        assert list(firings) == sorted(firings)
        clock_change_warnings(schedule, spelled, parse_timezone(BERLIN), after=at, until=at)


def test_only_dst_changes_between_start_and_end_are_warned_of() -> None:
    inner = understood("30 2 * * *", BERLIN)
    summer = datetime.datetime(2027, 6, 1, tzinfo=datetime.UTC)
    for bounds, days in [((summer, None), ["2027-10-31"]), ((None, summer), ["2027-03-28"]), ((NOW, NOW), [])]:
        told = clock_change_warnings(
            Bounded(inner, *bounds), "30 2 * * *", parse_timezone(BERLIN), after=NOW, until=NOW
        )
        assert [sentence.split(" ")[1] for sentence in told] == days


def test_dropped_occurrences_are_not_previewed() -> None:
    start = datetime.datetime(2027, 3, 27, 12, tzinfo=datetime.UTC)
    firings = next_firings(understood("30 2 * * *", BERLIN, dst_gap="skip"), start, 2)
    assert [at.day for at in firings] == [29, 30]
    assert next_firings(understood("2027-01-01T00:00Z", BERLIN), NOW, 5) == (
        datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC),
    )


@pytest.mark.parametrize(
    ("zone", "spelled", "since", "told"),
    [
        ("America/Nuuk", "30 23 * * *", "2026-12-01", [
            "On 2027-03-27 in America/Nuuk 23:30 does not exist: it fires at 2027-03-28 00:00 instead.",
            "On 2027-10-30 in America/Nuuk 23:30 happens twice: it fires the first time only.",
        ]),
        ("America/Nuuk", "30 23 27 3 *", "2026-12-01", [
            "On 2027-03-27 in America/Nuuk 23:30 does not exist: it fires at 2027-03-28 00:00 instead.",
        ]),
        ("America/Nuuk", "0,30 0,23 * * *", "2027-01-01", [
            (
                "On 2027-03-27 in America/Nuuk 23:00 and 23:30 do not exist: "
                "there is one firing at 2027-03-28 00:00, which is due anyway."
            ),
            "On 2027-10-30 in America/Nuuk 23:00 and 23:30 happen twice: it fires the first time only.",
        ]),
        ("Asia/Kathmandu", "5 0 * * *", "1985-06-01", [
            "On 1986-01-01 in Asia/Kathmandu 00:05 does not exist: it fires at 00:15 instead.",
        ]),
        ("Pacific/Apia", "30 12 * * *", "2011-06-01", [
            "On 2011-12-30 in Pacific/Apia 12:30 does not exist: it fires at 2011-12-31 00:00 instead.",
        ]),
        ("Asia/Beirut", "30 0 * * *", "2026-12-01", [
            "On 2027-03-28 in Asia/Beirut 00:30 does not exist: it fires at 01:00 instead.",
        ]),
    ],
)  # fmt: skip
def test_a_gap_over_midnight_names_the_following_day_once(zone: str, spelled: str, since: str, told: list[str]) -> None:
    after = datetime.datetime.fromisoformat(since).replace(tzinfo=datetime.UTC)
    found = clock_change_warnings(understood(spelled, zone), spelled, parse_timezone(zone), after=after, until=after)
    assert [sentence for sentence in found if "Beirut" not in sentence or "twice" not in sentence] == told


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/Nuuk", "Pacific/Apia", "Africa/Casablanca", "Asia/Gaza"])
@pytest.mark.parametrize("year", [1973, 1985, 1996, 2011, 2027])
def test_no_dst_change_is_listed_twice(zone: str, year: int) -> None:
    after = datetime.datetime(year, 6, 1, tzinfo=datetime.UTC)
    until = after.replace(year=year + 9)
    for spelled in ("5 0 * * *", "30 23 * * *", "*/7 0,1,2,3,23 * * *"):
        found = clock_change_warnings(
            understood(spelled, zone), spelled, parse_timezone(zone), after=after, until=until
        )
        assert len(set(found)) == len(found)
