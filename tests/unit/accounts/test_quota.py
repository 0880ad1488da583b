"""A plan's runs in a month, exact in whole runs and whole cents."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from accounts.quota import OveragePolicy, Terms, month_after, month_before, month_of, parse_month
from core.instants import EARLIEST, LATEST

COUNTS = some.integers(0, 10**9)
PRICES = some.integers(0, 10**7)
TERMS = some.builds(
    Terms, some.none() | COUNTS, PRICES, some.sampled_from([OveragePolicy.ALLOW, OveragePolicy.HARD_STOP])
) | some.builds(Terms, COUNTS, PRICES, some.just(OveragePolicy.CAPPED), COUNTS)


def test_without_a_limit_or_with_allow_any_number_may_start() -> None:
    assert Terms(None, 100, OveragePolicy.HARD_STOP).runs_allowed is None
    assert Terms(1000, 100, OveragePolicy.ALLOW).runs_allowed is None


def test_a_hard_stop_allows_the_included_runs() -> None:
    terms = Terms(1000, 100, OveragePolicy.HARD_STOP)
    assert [terms.stops(used) for used in (0, 999, 1000, 1001)] == [False, False, True, True]


def test_a_plan_may_include_no_runs() -> None:
    assert Terms(0, 0, OveragePolicy.HARD_STOP).stops(0)


def test_a_budget_buys_whole_runs() -> None:
    # 5 cents a thousand: a cent buys 200 runs.
    terms = Terms(1000, 5, OveragePolicy.CAPPED, 3)
    assert terms.runs_allowed == 1600
    assert (terms.overage_cents(1600), terms.overage_cents(1601)) == (3, 4)
    # 3,000 cents a thousand: a run costs three, so that ten cents buy three.
    assert Terms(0, 3000, OveragePolicy.CAPPED, 10).runs_allowed == 3


def test_a_budget_never_ends_if_runs_are_free() -> None:
    assert Terms(1000, 0, OveragePolicy.CAPPED, 0).runs_allowed is None


def test_a_fraction_of_a_cent_counts_as_one() -> None:
    terms = Terms(1000, 5)
    assert [terms.overage_cents(used) for used in (1000, 1001, 1200, 1201)] == [0, 1, 1, 2]


@given(included=COUNTS, price=PRICES.filter(bool), budget=COUNTS)
def test_a_budget_allows_the_largest_number_of_runs_within_it(included: int, price: int, budget: int) -> None:
    terms = Terms(included, price, OveragePolicy.CAPPED, budget)
    allowed = terms.runs_allowed
    assert allowed is not None
    assert terms.overage_cents(allowed) <= budget < terms.overage_cents(allowed + 1)


@given(terms=TERMS, used=COUNTS, batches=some.lists(some.integers(1, 500), max_size=20))
def test_batches_of_any_size_start_exactly_what_is_left(terms: Terms, used: int, batches: list[int]) -> None:
    before, started = used, 0
    for batch in batches:
        fits = batch - terms.excess(used + batch, batch)
        used += fits
        started += fits
    left = None if terms.runs_allowed is None else max(0, terms.runs_allowed - before)
    assert started == (sum(batches) if left is None else min(left, sum(batches)))
    assert terms.stops(used) == (left is not None and started == left)


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (Terms(1000, 0, OveragePolicy.HARD_STOP), "The 1,000 runs that the plan includes this month are used up."),
        (
            Terms(1000, 5, OveragePolicy.CAPPED, 2500),
            "The 1,000 runs that the plan includes this month, and the budget of 2,500 cents for more, are used up.",
        ),
    ],
)
def test_the_refusal_gives_the_reason(terms: Terms, told: str) -> None:
    assert terms.why_stopped == told


def test_months_are_in_utc() -> None:
    berlin = datetime.timezone(datetime.timedelta(hours=1))
    assert month_of(datetime.datetime(2026, 4, 1, 0, 59, 59, tzinfo=berlin)) == datetime.date(2026, 3, 1)
    assert month_of(datetime.datetime(2026, 4, 1, 1, tzinfo=berlin)) == datetime.date(2026, 4, 1)
    assert month_after(datetime.date(2026, 12, 1)) == datetime.date(2027, 1, 1)


@given(some.dates(min_value=datetime.date(EARLIEST.year, 1, 1), max_value=datetime.date(LATEST.year, 12, 31)))
def test_a_month_is_named_by_its_year_and_number(day: datetime.date) -> None:
    month = day.replace(day=1)
    assert parse_month(f"{day.year:04}-{day.month:02}") == month
    assert month_after(month) == (month.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)
    assert month_before(month_after(month)) == month


@pytest.mark.parametrize("period", ["", "2026", "2026-3", "2026-13", "2026-00", "0000-01", "2026-03-01", "٢٠٢٦-٠٣"])
def test_other_texts_are_not_months(period: str) -> None:
    assert parse_month(period) is None
