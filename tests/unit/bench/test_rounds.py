"""Results of rounds: percentiles, medians with their range, and the file of the curves' numbers."""

import json
from pathlib import Path

from bench.curves import by_turns, write
from bench.lateness import Percentiles, percentiles
from bench.plots import Axis, Plot, Point, Series, points


def test_percentiles_are_measured_values() -> None:
    assert percentiles([float(n) for n in range(100, 0, -1)]) == Percentiles(50, 99, 100)
    assert percentiles([7.0]) == Percentiles(7, 7, 7)
    assert percentiles([1.0, 2.0, 90.0]) == Percentiles(2, 90, 90)


def test_a_point_is_the_median_between_the_least_and_the_most() -> None:
    assert points({1000: [3.0, 1.0, 2.0], 100: [5.0]}) == [Point(100, 5, 5, 5), Point(1000, 2, 1, 3)]


def test_every_step_is_measured_once_a_round() -> None:
    asked: list[int] = []

    def measure(step: int) -> tuple[float, float]:
        asked.append(step)
        return step * 2.0, float(len(asked))

    doubled, order = by_turns([1, 10], 2, measure)
    assert asked == [1, 10, 1, 10]
    assert doubled == {1: (2, 2), 10: (20, 20)}
    assert order == {1: (1, 3), 10: (2, 4)}


def test_results_of_other_curves_are_kept(tmp_path: Path) -> None:
    def plot(title: str) -> Plot:
        return Plot(title, "", Axis("jobs"), Axis("after", "s"), [Series("wire", [Point(100, 1.5, 1, 2)])])

    write({"due": plot("Due"), "page": plot("Page")}, {"machine": {"cores": "2"}}, tmp_path)
    write({"due": plot("Due again")}, {"machine": {"cores": "8"}}, tmp_path)
    kept = json.loads((tmp_path / "curves.json").read_text())
    assert (kept["due"]["title"], kept["due"]["machine"]["cores"]) == ("Due again", "8")
    assert (kept["page"]["title"], kept["page"]["machine"]["cores"]) == ("Page", "2")
    assert kept["due"]["series"] == [{"name": "wire", "points": [{"x": 100, "y": 1.5, "low": 1, "high": 2}]}]
    assert "Due again" in (tmp_path / "due.svg").read_text()
