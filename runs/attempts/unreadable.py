"""Jobs whose version this release can't read: set aside, marked for people, and tried again.

Each process decides this for itself: during a rolling upgrade another release may read them, and continues with them.
So a process leaves them alone for some seconds only; the rows of `UnreadableVersion` inform people and the doctor.
"""

import datetime
import socket
import time
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import structlog
from django.db import connection, transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import SYSTEM
from core.differences import difference
from jobs.definition.reading import problem_of
from jobs.models import UnreadableVersion
from runs.postgres_text import array, text_array

log = structlog.get_logger(__name__)

#: What can't be read is tried again after a wait that doubles from the first to the longest.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 10.0
#: A job that only a worker could not read stays set aside until the next review but one.
_HELD_SECONDS = 15.0
_REVIEW_BATCH = 500
_MARK = """
    INSERT INTO jobs_unreadableversion AS mark
           (id, job_environment_id, job_version_id, error, seen_by, since, looked_at, audited)
    SELECT gen_random_uuid(), version.job_environment_id, version.job_version_id, version.error, %s,
           clock_timestamp(), clock_timestamp(), FALSE
      FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS version (job_environment_id, job_version_id, error)
        ON CONFLICT (job_environment_id, job_version_id) DO UPDATE
       SET error = excluded.error, seen_by = excluded.seen_by
"""


class UnreadableVersionFound(NamedTuple):
    """A version that this process can't read in a job-environment, and why."""

    job_environment_id: str
    job_version_id: str
    error: str


class Aside:
    """What this process leaves alone for a while, longer each time that it finds it unreadable."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, float]] = {}

    def put(self, keys: Iterable[str], *, seconds: float | None = None) -> None:
        """Leave these alone for `seconds`, by default for twice as long as the last time."""
        now = time.monotonic()
        for key in keys:
            _, last = self._until.get(key, (0.0, FIRST_WAIT_SECONDS / 2))
            wait = min(2 * last, LONGEST_WAIT_SECONDS) if seconds is None else seconds
            self._until[key] = (now + wait, wait)

    def take(self, keys: Iterable[str]) -> None:
        """Try these again at once."""
        for key in keys:
            self._until.pop(key, None)

    def waiting(self) -> list[str]:
        """Those to leave alone now. One that was not put again within a minute of its wait is forgotten."""
        if not self._until:
            return []
        now = time.monotonic()
        self._until = {key: (until, wait) for key, (until, wait) in self._until.items() if until > now - 60}
        return [key for key, (until, _) in self._until.items() if until > now]


#: This process does not fire or settle these job-environments, nor reap these executions.
firing, settling, reaping = Aside(), Aside(), Aside()


def mark(cursor: Any, versions: Collection[UnreadableVersionFound], *, doing: str) -> None:
    """Show people what this process can't read. `doing` is what waits for it. In the caller's transaction."""
    unique = {(version.job_environment_id, version.job_version_id): version for version in versions}
    for version in unique.values():
        log.error(
            "version_unreadable",
            job_version_id=version.job_version_id,
            job_environment_id=version.job_environment_id,
            error=version.error,
            waits=doing,
        )
    keys, version_ids, errors = zip(*(unique[key] for key in sorted(unique)), strict=True)
    cursor.execute(_MARK, [socket.gethostname(), array(keys), array(version_ids), text_array(errors)])


def review() -> int:
    """Try what is marked: unmark what can be read now, and keep the clock from firing the rest.

    Both go into the audit log. Marks that another process has locked are left to it. Returns how many remain.
    """
    with transaction.atomic():
        marks = UnreadableVersion.objects.select_for_update(skip_locked=True, of=("self",)).order_by("looked_at")
        locked = list(marks[:_REVIEW_BATCH])
        if not locked:
            return 0
        related = UnreadableVersion.objects.select_related(
            "job_version", "job_environment__job", "job_environment__environment"
        )
        rows = related.in_bulk([mark.pk for mark in locked])
        gone = [mark.pk for mark in locked if mark.pk not in rows]
        left = [row for row in rows.values() if not _readable_again(row)]
        UnreadableVersion.objects.filter(pk__in=gone).delete()
        UnreadableVersion.objects.filter(pk__in=[row.pk for row in left]).update(looked_at=timezone.now(), audited=True)
    current = [row for row in left if row.job_environment.job.current_version_id == row.job_version_id]
    firing.put((str(row.job_environment_id) for row in current), seconds=_HELD_SECONDS)
    return len(left)


def _readable_again(row: UnreadableVersion) -> bool:
    """Try one mark. The audit log says when the version became unreadable, and when readable again."""
    job, version = row.job_environment.job, row.job_version
    environment_id = str(row.job_environment.environment_id)
    details: dict[str, Any] = {"version": version.number, "environment": row.job_environment.environment.slug}
    error = problem_of(version.config, environment_id=environment_id, anchor=job.created_at)
    if error is not None:
        if not row.audited:
            changes = difference({}, {**details, "error": error})
            audit.record("job.unreadable", job, actor=SYSTEM, now=timezone.now(), changes=changes)
        return False
    if row.audited:
        audit.record("job.readable", job, actor=SYSTEM, now=timezone.now(), changes=difference({}, details))
    log.info("version_readable", job_version_id=str(version.pk), job_environment_id=str(row.job_environment_id))
    row.delete()
    for aside in (firing, settling):
        aside.take([str(row.job_environment_id)])
    return True


def marked_count() -> tuple[int, datetime.datetime | None]:
    """How many marks there are, and the instant of the oldest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(since) FROM jobs_unreadableversion")
        count, since = cursor.fetchone()
        return count, since
