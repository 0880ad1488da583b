"""Charts: shapes, text alternatives, and escaping of external text."""

import datetime
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.words import duration_words
from dashboard.base.charts import (
    Axis,
    Column,
    Day,
    Mark,
    Moment,
    Series,
    calendar,
    columns,
    lines,
    stacked_bars,
    strip,
    timeline,
)
from dashboard.base.charts.scales import head, ticks

AT = datetime.datetime(2026, 3, 1, 23, 0, tzinfo=datetime.UTC)
FIVE = datetime.timedelta(minutes=5)
HOSTILE = '<script>alert("x")</script>'
VALUE = st.none() | st.integers(min_value=0, max_value=10**9)


def read(figure: str) -> ET.Element:
    """Parse a chart: it is well-formed with any content."""
    return ET.fromstring(figure)  # noqa: S314 - our own text


@dataclass(frozen=True)
class Box:
    tone: str
    left: float
    foot: float
    head: float
    right: float


def bars_of(figure: str) -> list[Box]:
    """The bars of a chart: each is a rectangle in its tone's path."""
    return [
        Box(path.attrib["class"], *map(float, numbers))
        for path in read(figure).iter("path")
        for numbers in re.findall(r"M(\S+) (\S+?)V(\S+?)H(\S+?)V\S+?Z", path.attrib["d"])
    ]


def points_of(figure: str) -> list[list[tuple[str, str, str]]]:
    """Return the points of each line: M begins a stroke, L continues it."""
    paths = (path.attrib["d"] for path in read(figure).iter("path") if "hh-line" in path.attrib["class"])
    return [re.findall(r"([ML])([\d.]+) ([\d.]+)", path) for path in paths]


def texts_of(figure: str) -> list[str]:
    return [one.text or "" for one in read(figure).iter("text")]


def test_a_bar_stacks_its_series_to_the_height_of_their_sum() -> None:
    figure = stacked_bars(
        "Executions", Axis(AT, FIVE, 2), [Series("Failed", "bad", [1, 0]), Series("Fine", "ok", [3, 2])]
    )
    failed, fine, alone = bars_of(figure)
    assert (failed.tone, failed.foot, failed.head) == ("hh-bad", 100, 75)
    assert (fine.tone, fine.foot, fine.head) == ("hh-ok", 75, 0)
    assert (alone.foot, alone.head) == (100, 50)
    assert failed.left < failed.right < alone.left


def test_one_failure_in_a_million_is_visible() -> None:
    figure = stacked_bars(
        "Executions", Axis(AT, FIVE, 1), [Series("Failed", "bad", [1]), Series("Fine", "ok", [10**6])]
    )
    failed, _ = bars_of(figure)
    assert failed.foot - failed.head > 1


@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=12))
def test_no_shape_is_drawn_outside_the_chart(buckets: list[tuple[int | None, int | None]]) -> None:
    count, (one, other) = len(buckets), zip(*buckets, strict=True)
    series = [Series("One", "ok", one), Series("Other", "bad", other)]
    for box in bars_of(stacked_bars("Any", Axis(AT, FIVE, count), series)):
        assert -0.02 <= box.head <= box.foot <= 100
        assert 0 <= box.left <= box.right <= 100
    for stroke in points_of(lines("Any", Axis(AT, FIVE, count), series)):
        assert all(0 <= float(x) <= 100 and 0 <= float(y) <= 100 for _, x, y in stroke)


def test_a_line_breaks_at_missing_values_and_a_single_value_is_a_dot() -> None:
    figure = lines("Duration", Axis(AT, FIVE, 4), [Series("p50", "p50", [10, None, 20, 20])], words=duration_words)
    assert points_of(figure) == [[("M", "12.5", "50"), ("M", "62.5", "0"), ("L", "87.5", "0")]]
    assert "M12.5 50h0" in figure
    assert "20 ms" in figure


def test_a_chart_has_its_numbers_in_words_and_in_a_table() -> None:
    series = [Series("Failed", "bad", [1, 0], "1"), Series("Succeeded", "ok", [3200, 0], "3,200")]
    figure = stacked_bars("Executions", Axis(AT, FIVE, 2), series)
    assert 'aria-label="Executions: Failed 1, Succeeded 3,200"' in figure
    assert "<title>2026-03-01 23:00 UTC: Failed 1, Succeeded 3,200</title>" in figure
    assert "<title>2026-03-01 23:05 UTC: no data</title>" in figure
    [row] = next(read(figure).iter("tbody"))
    assert [cell.text for cell in row] == ["2026-03-01 23:00", "1", "3,200"]


def test_a_linked_bar_is_linked_in_the_table_too() -> None:
    series = [Series("Failed", "bad", [1, 0], "1"), Series("Succeeded", "ok", [0, 7], "7")]

    def leads(which: int, start: datetime.datetime, end: datetime.datetime) -> str:
        return f"/{series[which].name}?{start:%H:%M}&{end:%H:%M}"

    tree = read(stacked_bars("Executions", Axis(AT, FIVE, 2), series, url_of=leads))
    whole = ["/Failed?23:00&23:10", "/Succeeded?23:00&23:10"]
    parts = ["/Failed?23:00&23:05", "/Succeeded?23:05&23:10"]
    assert [one.attrib["href"] for one in tree.iter("a") if "tabindex" in one.attrib] == parts
    assert [one.attrib["href"] for one in tree.iter("a") if "tabindex" not in one.attrib] == [*whole, *parts[::-1]]
    [drawing] = (one for one in tree.iter("svg") if "hh-drawing" in one.attrib.get("class", ""))
    assert drawing.attrib["aria-hidden"] == "true", "its links are no stops of the tabulator key"


def test_an_empty_chart_says_so() -> None:
    for figure in (
        stacked_bars("Executions", Axis(AT, FIVE, 2), [Series("Failed", "bad", [0, None])]),
        lines("Duration", Axis(AT, FIVE, 2), [Series("p50", "p50", [None, None])]),
    ):
        assert "No data in this period." in figure
        assert "<svg" not in figure


def test_a_time_axis_labels_round_instants_and_day_boundaries() -> None:
    figure = stacked_bars("Executions", Axis(AT, FIVE, 24), [Series("Fine", "ok", [1] * 24)])
    assert texts_of(figure) == ["23:00", "23:30", "2 Mar", "00:30", "01:00"]


@given(
    st.datetimes(min_value=datetime.datetime(1999, 1, 1), max_value=datetime.datetime(2099, 1, 1)),  # noqa: DTZ001
    st.timedeltas(min_value=datetime.timedelta(minutes=5), max_value=datetime.timedelta(days=100)),
)
def test_ticks_are_few_and_within_the_range(start: datetime.datetime, span: datetime.timedelta) -> None:
    start = start.replace(tzinfo=datetime.UTC)
    found = list(ticks(start, start + span))
    assert 1 <= len(found) <= 7
    assert all(0 <= share <= 1 for share, _ in found)


@given(st.floats(min_value=0, max_value=1e12))
def test_an_axis_ends_just_above_its_highest_value(highest: float) -> None:
    assert highest <= head(highest) <= max(2.0, 2.001 * highest)


@pytest.mark.parametrize(
    ("succeeded", "failed", "level"),
    [(0, 0, "none"), (9, 0, "ok"), (99, 1, "few"), (95, 5, "warn"), (3, 1, "bad"), (0, 1, "bad")],
)
def test_a_day_is_coloured_by_its_share_of_failures(succeeded: int, failed: int, level: str) -> None:
    assert Day(AT.date(), succeeded, failed, others=4).level == level


def test_a_calendar_has_a_row_for_each_weekday_and_a_column_for_each_week() -> None:
    days = [Day(AT.date() + datetime.timedelta(days=n), succeeded=n) for n in range(9)]  # from a Sunday on
    figure = calendar("Outcomes", days, url_of=lambda name, day: f"/{name}/{day}")
    cells = [(rect.attrib["x"], rect.attrib["y"]) for rect in read(figure).iter("rect")]
    assert len({x for x, _ in cells}) == 3
    assert len({y for _, y in cells}) == 7
    assert "Mon 2 Mar 2026: 1 succeeded" in figure
    assert ">Outcomes: 0 of 36 executions failed</p>" in figure


def test_a_calendar_day_links_to_its_executions_and_its_counts_to_each_status() -> None:
    days = [Day(AT.date(), succeeded=2, others=1), Day(AT.date() + datetime.timedelta(days=1))]
    figure = calendar("Outcomes", days, url_of=lambda name, day: f"/{name}?{day}&")
    shape, *counts = read(figure).iter("a")
    assert shape.attrib == {"href": "/?2026-03-01&", "tabindex": "-1"}
    assert [one.attrib["href"] for one in counts] == ["/succeeded?2026-03-01&", "/others?2026-03-01&"]


def test_a_timeline_names_and_counts_its_marks() -> None:
    moments = [Moment(AT + datetime.timedelta(minutes=n), f"job {n}") for n in (0, 30, 30, 60)]
    figure = timeline("Firings", AT, AT + datetime.timedelta(hours=1), moments)
    low, high, last = read(figure).iter("rect")
    assert float(low.attrib["height"]) * 2 == float(high.attrib["height"])
    assert [one.text for one in high] == ["job 30\njob 30"]
    assert float(last.attrib["x"].rstrip("%")) < 100
    assert 'aria-label="Firings: 4 from 23:00 to 00:00 UTC"' in figure


def test_a_strip_is_one_image_unless_its_marks_are_links() -> None:
    assert 'role="img"' in strip("3 of 20 failed", [Mark("failed", "failed, 12:00")])
    [link] = read(strip("Latest", [Mark("failed", "failed, 12:00", "/x/")])).iter("a")
    assert link.attrib == {"class": "hh-failed", "href": "/x/", "title": "failed, 12:00"}


@given(st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=50))
def test_columns_stay_within_the_chart_and_every_measured_one_is_visible(values: list[float | None]) -> None:
    drawn = columns(
        "Duration", [Column(f"n{place}", value) for place, value in enumerate(values)], words=duration_words
    )
    boxes = bars_of(drawn)
    assert len(boxes) == sum(value is not None for value in values)
    for box in boxes:
        assert 0 <= box.left <= box.right <= 100
        assert 0 <= box.head < box.foot == 100
    assert ("No data." in drawn) is (not boxes)


def test_a_column_has_its_number_as_a_title_and_in_a_table() -> None:
    drawn = columns("Duration", [Column("Monday", 1500.0, "bad"), Column("Tuesday", None)], words=duration_words)
    assert "<title>Monday: 1.5 s</title>" in drawn
    assert '<tr><th scope="row">Monday</th><td>1.5 s</td></tr>' in drawn
    assert drawn.index("Tuesday</th>") < drawn.index("Monday</th>")


def test_a_limit_is_a_line_across_its_column_in_the_description_and_in_the_table() -> None:
    things = [Column("March", 500.0, limit=1000.0, label="Mar"), Column("April", None, label="Apr")]
    drawn = columns("Runs", things, words=lambda count: f"{count:,.0f}", limit="Included")
    assert '<path class="hh-limit" d="M0 50H50"/>' in drawn
    assert "<title>March: 500, included 1,000</title>" in drawn
    assert '<tr><th scope="row">March</th><td>500</td><td>1,000</td></tr>' in drawn
    assert "</span>Included</li>" in drawn
    assert texts_of(drawn) == ["Mar", "Apr"]


def test_names_from_outside_are_escaped() -> None:
    assert HOSTILE not in columns(HOSTILE, [Column(HOSTILE, 1.0)], words=duration_words, notes=[(HOSTILE, HOSTILE)])
    assert HOSTILE not in strip(HOSTILE, [Mark("ok", HOSTILE, "/x/")])
    assert HOSTILE not in timeline(HOSTILE, AT, AT + FIVE, [Moment(AT, HOSTILE)])
    assert HOSTILE not in lines(HOSTILE, Axis(AT, FIVE, 1), [Series(HOSTILE, "p50", [1], HOSTILE)])
    read(strip(HOSTILE, [Mark("ok", HOSTILE, "/x/?a=1&b=2")]))


def test_nothing_is_styled_inline() -> None:
    axis, series = Axis(AT, FIVE, 2), [Series("p50", "p50", [1, 2])]
    drawn = (
        stacked_bars("A", axis, series)
        + lines("B", axis, series)
        + calendar("C", [Day(AT.date(), 1)], url_of=lambda *_: "/")
    )
    assert "style" not in drawn
