"""One look at the database: what there is for the clock to do, and when there will be something."""

import datetime
from dataclasses import dataclass

from django.db import connection

from runs.attempts import unreadable
from runs.postgres_text import array
from runs.restore_guard import IS_COPY

_LOOK = f"""
    SELECT clock_timestamp(), {IS_COPY},
           (SELECT min(next_fire_at) FROM jobs_jobenvironment WHERE enabled AND next_fire_at IS NOT NULL{{firing}}),
           (SELECT min(next_attempt_at) FROM runs_execution WHERE finished_at IS NULL AND enqueued_at IS NULL),
           (SELECT min(until_at) FROM jobs_scheduleperiod WHERE unsettled_from IS NOT NULL{{settling}})
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look tells the clock. Instants are the database's; None: nothing of that kind is planned.

    Of a copy of the database nothing may be fired: `runs.restore_guard`.
    """

    now: datetime.datetime
    is_copy: bool
    next_fire_at: datetime.datetime | None
    next_retry_at: datetime.datetime | None
    next_settling_at: datetime.datetime | None

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
    def seconds_to_next(self) -> float:
        """Infinite when nothing is planned; negative when something is due."""
        planned = (self.next_fire_at, self.next_retry_at, self.next_settling_at)
        instants = [instant for instant in planned if instant is not None]
        return (min(instants) - self.now).total_seconds() if instants else float("inf")


def glance() -> Glance:
    """The whole cost of an idle tick: three reads of the first entry of a partial index, and of one row.

    What this process can't read is passed over, so that it does not look due for ever.
    """
    with connection.cursor() as cursor:
        firing, settling = unreadable.firing.waiting(), unreadable.settling.waiting()
        look = _LOOK.format(
            firing=" AND NOT (id = ANY(%s::uuid[]))" if firing else "",
            settling=" AND NOT (job_environment_id = ANY(%s::uuid[]))" if settling else "",
        )
        cursor.execute(look, [array(keys) for keys in (firing, settling) if keys])
        return Glance(*cursor.fetchone())
