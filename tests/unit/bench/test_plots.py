"""Curves as SVG: well-formed, in their frame, with units and all numbers in words."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plots import Axis, Plot, Point, Scale, Series, described, linear_ticks, log_ticks, short, svg

SVG = "{http://www.w3.org/2000/svg}"
VALUE = st.floats(min_value=0.001, max_value=1e9)
STEPS = st.lists(st.integers(min_value=1, max_value=10**7), min_size=1, max_size=8, unique=True).map(sorted)


def plot(*values: tuple[float, float], across: Scale = "log", up: Scale = "linear", names: int = 1) -> Plot:
    """Draw these points, as this many identical curves."""
    points = [Point(x, y, y * 0.9, y * 1.1) for x, y in values]
    series = [Series(f"p{place}", points) for place in range(names)]
    return Plot("Lateness", "a beat & a worker", Axis("schedules", scale=across), Axis("lateness", "ms", up), series)


def read(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314 - our own text


def words(drawing: str) -> list[str]:
    return [text.text or "" for text in read(drawing).iter(f"{SVG}text")]


def test_a_chart_has_a_title_units_and_the_machine() -> None:
    told = words(svg(plot((100, 2.0), (1000, 3.0))))
    assert told[0] == "Lateness"
    assert "a beat & a worker" in told
    assert "lateness, ms" in told
    assert "schedules" in told
    assert {"100", "1k"} <= set(told)


def test_every_number_is_in_the_text_alternative() -> None:
    drawn = plot((100, 2.0), (1000, 3.5))
    assert described(drawn) == "p0: 2 ms at 100 schedules, 3.5 ms at 1,000 schedules"
    assert read(svg(drawn)).findtext(f"{SVG}desc") == described(drawn)


def test_several_curves_have_a_legend_and_distinct_marks() -> None:
    drawing = svg(plot((100, 2.0), (1000, 3.0), names=3))
    assert {"p0", "p1", "p2"} <= set(words(drawing))
    assert all(mark in drawing for mark in ("<circle", '<rect x="-4"', 'd="M0-6'))
    assert "p0" not in words(svg(plot((100, 2.0))))


def test_it_has_colours_for_light_and_dark() -> None:
    drawing = svg(plot((1, 1.0)))
    assert "prefers-color-scheme:dark" in drawing
    assert 'class="paper"' in drawing
    assert "http" not in drawing.replace('xmlns="http://www.w3.org/2000/svg"', "")


@given(STEPS, st.data())
def test_every_point_is_inside_the_frame(steps: list[int], data: st.DataObject) -> None:
    values = [(step, data.draw(VALUE)) for step in steps]
    scale: Scale = data.draw(st.sampled_from(["linear", "log"]))
    drawing = svg(plot(*values, up=scale))
    read(drawing)
    curve = re.search(r'class="curve s0" d="M([^"]+)"', drawing)
    assert curve
    for place in curve[1].split("L"):
        x, y = map(float, place.split())
        assert 76 <= x <= 696
        assert 84 <= y <= 360


@given(VALUE)
def test_linear_ticks_begin_at_zero_and_reach_the_maximum(highest: float) -> None:
    ticks = linear_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 8


def test_an_empty_curve_has_an_axis() -> None:
    assert linear_ticks(0) == [0, 1]
    read(svg(plot((1, 0.0))))


@given(VALUE, VALUE)
def test_logarithmic_ticks_enclose_the_values(one: float, other: float) -> None:
    lowest, highest = sorted((one, other))
    ticks = log_ticks(lowest, highest)
    assert ticks[0] <= lowest * (1 + 1e-6)
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 14
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (100, 1_000_000, [100, 1000, 10_000, 100_000, 1_000_000]),
        (10, 1000, [10, 20, 50, 100, 200, 500, 1000]),
        (15, 40, [10, 20, 50]),
        (5, 5, [5, 10]),
        (1 - 1e-12, 1, [1, 2]),
        (100, 100, [100, 200]),
        (0.2, 3, [0.2, 0.5, 1, 2, 5]),
    ],
)
def test_logarithmic_ticks_are_round(lowest: float, highest: float, expected: list[float]) -> None:
    assert log_ticks(lowest, highest) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "expected"), [(1_000_000, "1M"), (10_000, "10k"), (2500, "2.5k"), (999, "999"), (0.5, "0.5"), (0, "0")]
)
def test_ticks_are_short(value: float, expected: str) -> None:
    assert short(value) == expected
