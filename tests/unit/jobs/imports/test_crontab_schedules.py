"""The fields of a crontab's line fire when cron would, or the line is refused."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.schedule import parse_schedule
from tests.support.crontab_lines import CALL, error_of, item_of, job_of


class TestSchedules:
    @pytest.mark.parametrize(
        "fields", ["0 2 * * *", "*/7 * * * *", "0 0 1 * 1", "0 0 */2 * 1", "5-59/10 1,2 1-7 jan-MAR mon", "0 0 * * 7"]
    )
    def test_fields_are_carried_over_as_they_are_written(self, fields: str) -> None:
        assert job_of(f"{fields} {CALL}")["schedule"] == fields

    @pytest.mark.parametrize(
        "fields",
        ["0/15 * * * *", "5/10 * * * *", "0 0 L * *", "0 0 15W * *", "0 0 * * 5L", "0 0 * * 1#2", "0 0 ? * 1", "H * * * *",  # noqa: E501
         "0 0 * * monday", "-*/5 * * * *", "* * * *", "0 0 1;2 * *", "0 0 1-5-7 * *", "a b c d e"],
    )  # fmt: skip
    def test_ambiguous_fields_are_refused(self, fields: str) -> None:
        assert error_of(f"{fields} {CALL}")

    @pytest.mark.parametrize("preset", ["@reboot", "@every_minute", "@fortnightly", "@"])
    def test_unsupported_presets_are_refused(self, preset: str) -> None:
        assert error_of(f"{preset} {CALL}")

    @pytest.mark.parametrize(
        ("line", "schedule"),
        [
            (f"* * * * * sleep 30; {CALL}", "30 * * * * *"),
            (f"@hourly sleep 5 && sleep 7 && {CALL}", "12 0 * * * *"),
            (f"0 2 * * * sleep 0; {CALL}", "0 2 * * *"),
        ],
    )
    def test_a_sleep_is_carried_over_as_seconds(self, line: str, schedule: str) -> None:
        assert job_of(line)["schedule"] == schedule

    @settings(max_examples=50, deadline=None)
    @given(st.data())
    def test_a_line_fires_when_cron_would(self, data: st.DataObject) -> None:
        fields = [data.draw(cron_field(low, high)) for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))]
        line = " ".join(text for text, _ in fields)
        item = item_of(f"{line} {CALL}")
        assert item.definition is not None, item.problem
        start = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
        try:
            schedule = parse_schedule(item.definition["schedule"], timezone="UTC", now=start, anchor=start)
        except ValueError:
            assert not any(by_cron(fields, start + datetime.timedelta(days=day)) for day in range(366 * 8))
            return
        assert schedule is not None
        for _ in range(3):
            firing = schedule.next_after(start)
            assert firing is not None
            assert by_cron(fields, firing, at_minute=True)
            if firing - start < datetime.timedelta(days=2):
                minutes = int((firing - start) / datetime.timedelta(minutes=1))
                between = (start + datetime.timedelta(minutes=minute) for minute in range(1, minutes))
                assert not any(by_cron(fields, instant, at_minute=True) for instant in between)
            start = firing


Values = tuple[str, set[int]]


@st.composite
def cron_field(draw: st.DrawFn, low: int, high: int) -> Values:
    """A field by cron's own grammar, and the set of its bits (Vixie's entry.c)."""
    texts, bits = [], set()
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["*", "*", "*/", "n", "n-m", "n-m/"]))
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        step = draw(st.integers(1, 12)) if kind.endswith("/") else 1
        if kind.startswith("*"):
            first, last = low, high
        elif kind == "n":
            last = first
        text = "*" if kind.startswith("*") else str(first) if kind == "n" else f"{first}-{last}"
        texts.append(f"{text}/{step}" if kind.endswith("/") else text)
        bits |= set(range(first, last + 1, step))
    return ",".join(texts), bits


def by_cron(fields: list[Values], at: datetime.datetime, *, at_minute: bool = False) -> bool:
    """Whether cron would run a line then: on the whole day, or with `at_minute` at this minute (Vixie's cron.c)."""
    (_, minutes), (_, hours), (dom, days), (_, months), (dow, weekdays) = fields
    weekday = at.isoweekday() % 7
    on_day, on_weekday = at.day in days, weekday in weekdays or (weekday == 0 and 7 in weekdays)
    starred = dom.startswith("*") or dow.startswith("*")
    right_day = at.month in months and ((on_day and on_weekday) if starred else (on_day or on_weekday))
    return right_day and (not at_minute or (at.minute in minutes and at.hour in hours))
