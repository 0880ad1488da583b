"""Mutations of the product's statements, each of which the turnstile must detect.

Each removes one guard. Tests also require that it matches a statement.
"""

import re
from dataclasses import dataclass, field

_ATTEMPTS = r"AND \w+\.attempts = \w+\.attempts"


@dataclass(slots=True)
class Mutant:
    """`mark` identifies the statement to change; `matches` counts its uses. `scenario` detects the mutant."""

    name: str
    mark: str
    pattern: str
    replacement: str
    scenario: str
    matches: int = field(default=0, init=False)

    def __call__(self, statement: str) -> str:
        if self.mark not in statement:
            return statement
        changed, count = re.subn(self.pattern, self.replacement, statement, flags=re.DOTALL)
        self.matches += count
        return changed


def mutants() -> list[Mutant]:
    """New mutants, without any match."""
    return [
        Mutant(
            "a give-back that names no attempt",
            "attempts = attempts - 1",
            _ATTEMPTS,
            "",
            "the same worker again",
        ),
        Mutant(
            "a renewal that names no attempt",
            "SET lease_expires_at = clock_timestamp() +",
            _ATTEMPTS,
            "",
            "the same worker again",
        ),
        Mutant(
            "a recording that names no attempt",
            "SET status = moved.status",
            _ATTEMPTS,
            "",
            "the same worker again",
        ),
        Mutant(
            "a claim of running executions",
            "attempts = execution.attempts + 1",
            r"AND status = 'pending' ",
            "",
            "two workers",
        ),
        Mutant(
            "a claim that locks nothing",
            "attempts = execution.attempts + 1",
            r"FOR NO KEY UPDATE SKIP LOCKED",
            "",
            "two workers",
        ),
        Mutant(
            "a reaper that takes unexpired leases",
            "FOR NO KEY UPDATE OF execution SKIP LOCKED",
            r"AND execution\.lease_expires_at < clock_timestamp\(\)",
            "",
            "two workers",
        ),
        Mutant(
            "a limit without its lock",
            "pg_advisory_xact_lock(hashtextextended('concurrency",
            r"^.*$",
            "SELECT %s::text",
            "limited",
        ),
        Mutant(
            "usage that is never uncounted",
            "UPDATE accounts_usage AS usage SET runs_used",
            r"usage\.runs_used - held\.runs",
            "usage.runs_used",
            "the same worker again",
        ),
        Mutant(
            "a queue that waits for nothing",
            "SET queued = false, enqueued_at = NULL",
            r"AND\s+NOT EXISTS.*$",
            "",
            "overlap queue",
        ),
        Mutant(
            "an end that does not lock its job",
            "SELECT id FROM jobs_jobenvironment WHERE id = ANY",
            r"FOR NO KEY UPDATE",
            "",
            "overlap queue",
        ),
        Mutant(
            "making way while waiting for a lock",
            '"finished_at" IS NULL) ORDER BY 1 ASC FOR NO KEY UPDATE SKIP LOCKED',
            r"SKIP LOCKED",
            "",
            "overlap cancel_running",
        ),
        Mutant(
            "beats that fire the same occurrence",
            "next_fire_at <= %s",
            r"FOR NO KEY UPDATE SKIP LOCKED",
            "",
            "overlap skip",
        ),
    ]
