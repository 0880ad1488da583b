"""The demands of the budget, in the order of the table, and the sizes of their measures. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from bench.budget import Limit


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the measures, and rounds of each."""

    rounds: int = 3
    runs: int = 20_000
    mixed: int = 10_000
    due: int = 10_000
    idle: int = 1_000_000
    short: int = 10_000
    long: int = 1_000_000
    pages: int = 15
    per_second: int = 100
    seconds: int = 30


FULL = Sizes()
QUICK = Sizes(
    rounds=1, runs=500, mixed=500, due=500, idle=10_000, short=1000, long=10_000, pages=3, per_second=100, seconds=5
)


class Demand(NamedTuple):
    """A limit and the measure that checks it. `what` may contain fields of `sizes`."""

    name: str
    measure: str
    what: str
    limit: Limit

    def text(self, sizes: Sizes) -> str:
        return self.what.format(sizes=sizes)


DEMANDS = (
    Demand(
        "celery",
        "delivery",
        "runs/s, one worker process, against one Celery task per call",
        Limit("at least", 25, "x"),
    ),
    Demand("celery_kept", "delivery", "the same, with kept database connections", Limit("at least", 15, "x")),
    Demand("asyncio", "delivery", "the same against hand-written asyncio", Limit("at least", 2, "x")),
    Demand("bare", "delivery", "the same against a bare loop of calls and records", Limit("at least", 0.5, "x")),
    Demand("asyncio_two", "processes", "two worker processes against two of asyncio", Limit("at least", 2.5, "x")),
    Demand(
        "steps", "workflows", "workflow steps/s against plain runs/s of the same worker", Limit("at least", 0.4, "x")
    ),
    Demand("chain", "workflows", "p50 of a chain of 3 calls, one at a time, to asyncio's", Limit("at most", 1, "x")),
    Demand("chains", "workflows", "the same with all chains due at once", Limit("at most", 1, "x")),
    Demand("mixed", "mixed", "p99 of fast calls if 5 % of {sizes.mixed:,} take 10 s", Limit("at most", 1.5, "x")),
    Demand("sent", "due", "{sizes.due:,} due at the same second: last id on Redis", Limit("at most", 2.5, "s")),
    Demand("wire", "due", "{sizes.due:,} due at the same second: last on the wire", Limit("at most", 6, "s")),
    Demand("p50", "lateness", "lateness, {sizes.per_second} firings a second: p50", Limit("at most", 20, "ms")),
    Demand("p99", "lateness", "lateness, {sizes.per_second} firings a second: p99", Limit("at most", 250, "ms")),
    Demand("fire_due", "firing", "executions inserted by fire_due", Limit("at least", 5000, "/s")),
    Demand("idle", "idle", "an idle tick with {sizes.idle:,} schedules", Limit("at most", 5, "ms")),
    Demand("beside", "beside", "p99 of fast calls beside 500 that take 20 s", Limit("at most", 2, "x")),
    Demand("memory", "memory", "memory of a worker with 1,000 in flight", Limit("at most", 250, "MB")),
    Demand(
        "page",
        "history",
        "a page of {sizes.long:,} executions against {sizes.short:,}",
        Limit("at most", 1.5, "x"),
    ),
    Demand("scans", "history", "filters of that list that scan the whole table", Limit("at most", 0, "filters")),
)

MEASURES = tuple(dict.fromkeys(demand.measure for demand in DEMANDS))
