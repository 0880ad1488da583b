"""The invariants, findings, and an index of a history. Pure."""

import enum
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.acceptance.chaos.history import Exchange, Execution, History, Job, Run


class Invariant(enum.StrEnum):
    """The invariants, with their numbers in the design."""

    ONE_ROW = "0 one exchange, one row: the same execution, attempt and bytes"
    PROTOCOL = "0 every step of an execution is one that the protocol knows"
    NONE_LOST = "1 no firing lost"
    NONE_DOUBLED = "1 none called again unless its own worker was dead or stalled past its lease"
    BY_HAND = "1 what was asked for by hand is there once, and nothing that nobody asked for"
    RECONCILED = "1 the ledger is reconciled: each planned occurrence is recorded once"
    SKIPPED = "1 each skip has its cause"
    OVERLAP = "1 calls of a job overlap only where its policy lets them"
    CONCURRENCY = "1 no more calls of a job at once than it allows"
    PUNCTUAL = "1 late only while something held the house up"
    TERMINAL = "2 every execution reaches a terminal state"
    LEASES = "2 no RUNNING outlives its lease by more than a reap interval"
    RECORDED = "3 every exchange that ended is a run with what was sent and received"
    SECRETS = "3 secret values appear nowhere"
    APART = "4 a workspace never sees another's rows"


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation of an invariant."""

    invariant: Invariant
    subject: str
    detail: str


class Index:
    """A history, indexed for lookups."""

    def __init__(self, history: History) -> None:
        self.jobs: dict[str, Job] = {job.id: job for job in history.jobs}
        self.executions: dict[str, Execution] = {one.id: one for one in history.executions}
        self.of_job: dict[str, list[Execution]] = defaultdict(list)
        for execution in history.executions:
            self.of_job[execution.job].append(execution)
        self.rows: dict[tuple[str, int], list[Run]] = defaultdict(list)
        for run in history.runs:
            self.rows[run.execution, run.number].append(run)
        self.seen: dict[str, dict[int, list[Exchange]]] = defaultdict(lambda: defaultdict(list))
        for exchange in sorted(history.exchanges, key=lambda one: one.at):
            self.seen[exchange.execution][exchange.attempt].append(exchange)

    def run(self, execution: str, number: int) -> Run | None:
        """Return an attempt's row, the first if there are two."""
        rows = self.rows.get((execution, number))
        return rows[0] if rows else None

    def exchanges(self, execution: str, number: int) -> Sequence[Exchange]:
        """Return the exchanges of an attempt; there should be at most one."""
        return self.seen[execution][number] if execution in self.seen and number in self.seen[execution] else ()


Rule = Callable[[History, Index], Iterator[Finding]]
