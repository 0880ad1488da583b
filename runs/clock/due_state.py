"""Reads what is due for the clock, and when something will be, in one statement."""

import datetime
from dataclasses import dataclass

from django.db import connection

from runs.attempts import unreadable
from runs.postgres_text import array
from runs.restore_guard import IS_COPY

_DUE_STATE = f"""
    SELECT clock_timestamp(), {IS_COPY},
           (SELECT min(next_fire_at) FROM jobs_jobenvironment WHERE enabled AND next_fire_at IS NOT NULL{{firing}}),
           (SELECT min(next_attempt_at) FROM runs_execution WHERE finished_at IS NULL AND enqueued_at IS NULL),
           (SELECT min(until_at) FROM jobs_scheduleperiod WHERE unsettled_from IS NOT NULL{{settling}}),
           (SELECT min(wait_expires_at) FROM runs_execution WHERE wait_expires_at IS NOT NULL)
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class DueState:
    """When the clock has something to do. Instants are the database's; None: nothing of that kind is to come.

    While the database `is_copy`, nothing may fire: `runs.restore_guard`.
    """

    now: datetime.datetime
    is_copy: bool
    next_fire_at: datetime.datetime | None
    next_retry_at: datetime.datetime | None
    next_settling_at: datetime.datetime | None
    next_waking_at: datetime.datetime | None

    @property
    def firing_due(self) -> bool:
        return self.next_fire_at is not None and self.next_fire_at <= self.now

    @property
    def retry_due(self) -> bool:
        return self.next_retry_at is not None and self.next_retry_at <= self.now

    @property
    def settling_due(self) -> bool:
        return self.next_settling_at is not None and self.next_settling_at <= self.now

    @property
    def waking_due(self) -> bool:
        return self.next_waking_at is not None and self.next_waking_at <= self.now

    @property
    def is_due(self) -> bool:
        """Whether anything is due now."""
        return self.firing_due or self.retry_due or self.settling_due or self.waking_due

    @property
    def seconds_to_next(self) -> float:
        """Infinite when nothing is to come; negative when something is due."""
        nexts = (self.next_fire_at, self.next_retry_at, self.next_settling_at, self.next_waking_at)
        instants = [at for at in nexts if at is not None]
        return (min(instants) - self.now).total_seconds() if instants else float("inf")


def read_due_state() -> DueState:
    """Read it. This is the whole cost of an idle tick: the first entry of four partial indexes, and one row.

    Job-environments that this process has set aside as unreadable are left out, so that they don't look due for ever.
    """
    with connection.cursor() as cursor:
        firing, settling = unreadable.firing.waiting(), unreadable.settling.waiting()
        statement = _DUE_STATE.format(
            firing=" AND NOT (id = ANY(%s::uuid[]))" if firing else "",
            settling=" AND NOT (job_environment_id = ANY(%s::uuid[]))" if settling else "",
        )
        cursor.execute(statement, [array(keys) for keys in (firing, settling) if keys])
        return DueState(*cursor.fetchone())
