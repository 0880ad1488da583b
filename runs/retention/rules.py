"""How much of a job's history is kept, and which executions may be pruned.

An ended execution is kept if it is one of the newest `keep_last` of its job, or was due within the last `keep_days`. A
failure is kept too if it is one of the newest `keep_last` failures of its job: so it is kept at least as long as a
success of the same time, however many follow it. "Newest" is by when it was due, or else created.

Besides, these are never pruned: live executions; the source of a live replay or retry; those whose callback is pending;
those that a bulk operation has yet to process; and the last scheduled execution in each environment, which the clock
may still extend.
"""

import datetime
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection, transaction

from runs.retention.prune import remove

#: The most rows to read to find where the histories of several jobs are cut.
_MAX_READ = 20_000
JOBS_BATCH = 200
_ALL = 2**31 - 1


def _number(name: str) -> str:
    """SQL for a whole number of a version's retention. NULL where the version does not have one that can be read."""
    number, days = (f"(version.config #> '{{retention,{part}}}')" for part in (name, "keep_days"))
    return (
        f"CASE WHEN jsonb_typeof({number}) = 'number' AND jsonb_typeof({days}) IN ('number', 'null')"
        f" THEN least({number}::numeric, {_ALL})::int END"
    )


# A job whose version can't be read keeps all that its workspace's plan allows. Those limits also apply to jobs that are
# older than the plan. `reached` is the last job of an earlier turn.
_JOBS = f"""
    SELECT job.id, coalesce(least(keep.last, plan.keep_last), %(all)s), least(keep.days, plan.keep_days)
      FROM jobs_job AS job JOIN jobs_jobversion AS version ON version.id = job.current_version_id
      JOIN accounts_workspace AS workspace ON workspace.id = job.workspace_id
      LEFT JOIN accounts_plan AS plan ON plan.id = workspace.plan_id
     CROSS JOIN LATERAL (SELECT {_number("keep_last")} AS last, {_number("keep_days")} AS days) AS keep
     WHERE job.purged_at IS NULL AND (%(reached)s::uuid IS NULL OR job.id > %(reached)s::uuid)
     ORDER BY job.id LIMIT %(limit)s
"""  # noqa: S608 - our own text
# The newest execution and the newest failure to prune: each is the first one beyond those that are kept.
_CUTS = """
    SELECT job.id, old.due_at, old.id, failure.due_at, failure.id
      FROM unnest(%s::uuid[], %s::int[]) AS job (id, keep_last)
     CROSS JOIN LATERAL (
         SELECT due_at, id FROM runs_execution AS execution
          WHERE execution.job_id = job.id AND facet IS NOT NULL
          ORDER BY due_at DESC, id DESC OFFSET job.keep_last LIMIT 1
     ) AS old
      LEFT JOIN LATERAL (
         SELECT due_at, id FROM runs_execution AS execution
          WHERE execution.job_id = job.id AND failure_reason <> ''
          ORDER BY due_at DESC, id DESC OFFSET job.keep_last LIMIT 1
     ) AS failure ON TRUE
"""
# Newest first: the first batch decides where the ledger begins, and later ones don't change that.
_PRUNABLE = """
    SELECT id, due_at, job_environment_id::text,
           CASE WHEN trigger = 'schedule' THEN coalesce(scheduled_until, scheduled_for) END
      FROM runs_execution AS old
     WHERE old.job_id = %(job_id)s AND ROW(old.due_at, old.id) <= ROW(%(due_at)s::timestamptz, %(id)s::uuid)
       AND old.due_at < %(since)s AND old.facet IS NOT NULL
       AND (old.failure_reason = ''
            OR ROW(old.due_at, old.id) <= ROW(%(failure_due_at)s::timestamptz, %(failure_id)s::uuid))
       AND old.id NOT IN (
           SELECT replay_of_id FROM runs_execution WHERE finished_at IS NULL AND replay_of_id IS NOT NULL
       )
       AND (old.callback_on = 0 OR NOT EXISTS (
           SELECT FROM runs_callback AS callback WHERE callback.execution_id = old.id AND callback.status = 'pending'
       ))
       AND old.id NOT IN (
           SELECT unnest(execution_ids[position + 1:]) FROM runs_bulkoperation WHERE finished_at IS NULL
       )
       AND (old.trigger <> 'schedule' OR old.scheduled_for < (
           SELECT max(scheduled_for) FROM runs_execution AS last
            WHERE last.job_environment_id = old.job_environment_id AND last.trigger = 'schedule'
       ))
     ORDER BY old.due_at DESC, old.id DESC LIMIT %(limit)s
       FOR UPDATE OF old SKIP LOCKED
"""
# Locked in the one order, and only if the instant changes: a recorder may wait for the row.
_REACH = """
    WITH changed AS (
        SELECT row.id, reach.instant FROM jobs_jobenvironment AS row
          JOIN unnest(%s::uuid[], %s::timestamptz[]) AS reach (id, instant) USING (id)
         WHERE row.history_from IS NULL OR row.history_from < reach.instant
         ORDER BY row.id FOR NO KEY UPDATE OF row
    )
    UPDATE jobs_jobenvironment AS row SET history_from = changed.instant FROM changed WHERE row.id = changed.id
"""
_UNUSED_EDITED = """
    DELETE FROM jobs_jobversion WHERE id IN (
        SELECT version.id FROM jobs_jobversion AS version
         WHERE version.job_id = ANY(%(jobs)s::uuid[]) AND version.edited AND NOT EXISTS (
             SELECT FROM runs_execution AS execution
              WHERE execution.job_version_id = version.id AND execution.trigger IN ('replay', 'retry')
         )
         LIMIT %(limit)s
    )
"""
_JUST_AFTER = datetime.timedelta(microseconds=1)
_ALWAYS = datetime.datetime.max.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Rule:
    """How much history of one job is kept. `keep_days` None: none because of its age."""

    job_id: uuid.UUID
    keep_last: int
    keep_days: int | None


class Cut(NamedTuple):
    """Where a job's history is cut: an execution and all older ones may be pruned. The same for its failures."""

    due_at: datetime.datetime
    id: uuid.UUID
    failure_due_at: datetime.datetime | None
    failure_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows a batch removed."""

    executions: int = 0
    runs: int = 0


def rules_after(reached: uuid.UUID | None) -> Sequence[Rule]:
    """The rules of the next jobs in the order of their ids, including deleted ones. Empty after the last."""
    with connection.cursor() as cursor:
        cursor.execute(_JOBS, {"reached": reached, "limit": JOBS_BATCH, "all": _ALL})
        rules = [Rule(*row) for row in cursor.fetchall()]
    count, read = 0, 0
    while count < len(rules) and (not count or read + rules[count].keep_last <= _MAX_READ):
        read += rules[count].keep_last
        count += 1
    return rules[:count]


def cuts(rules: Iterable[Rule]) -> dict[uuid.UUID, Cut]:
    """The cuts of these jobs, where their histories are longer than what is kept."""
    keeps = {rule.job_id: rule.keep_last for rule in rules}
    with connection.cursor() as cursor:
        cursor.execute(_CUTS, [[str(key) for key in keeps], list(keeps.values())])
        return {row[0]: Cut(*row[1:]) for row in cursor.fetchall()}


@dataclass(slots=True)
class Prunable:
    """The part of a job's history to prune, from the newest to the oldest."""

    rule: Rule
    cut: Cut
    now: datetime.datetime

    def prune(self, cursor: Any, limit: int) -> Pruned:
        """Remove the next `limit` executions, in the caller's transaction. Fewer: these were the last."""
        cursor.execute(
            _PRUNABLE, {"job_id": self.rule.job_id, "since": self._since, "limit": limit, **self.cut._asdict()}
        )
        rows = cursor.fetchall()
        if not rows:
            return Pruned()
        runs = remove(cursor, [row[0] for row in rows])
        _shorten_ledgers(cursor, [(key, last) for _, _, key, last in rows if last is not None])
        # The rest is older than the last of these.
        self.cut = self.cut._replace(due_at=rows[-1][1], id=rows[-1][0])
        return Pruned(len(rows), runs)

    @property
    def _since(self) -> datetime.datetime:
        """Executions due since then are kept because of their age."""
        days = self.rule.keep_days
        return _ALWAYS if days is None else self.now - datetime.timedelta(days=days)


def _shorten_ledgers(cursor: Any, ends: Sequence[tuple[str, datetime.datetime]]) -> None:
    """Let ledgers begin after what is removed, given as the job-environments and instants of the last occurrences."""
    if not ends:
        return
    reach: dict[str, datetime.datetime] = {}
    for key, last in ends:
        reach[key] = max(reach.get(key, last), last)
    cursor.execute(_REACH, [list(reach), [last + _JUST_AFTER for last in reach.values()]])


def drop_unused_versions(rules: Iterable[Rule], limit: int) -> int:
    """Delete versions of these jobs that were edited for a replay and that no execution has any more.

    Call it before the jobs' executions are pruned: it then deletes what the round before left, which no request that is
    replaying such an execution can still use.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_UNUSED_EDITED, {"jobs": [str(rule.job_id) for rule in rules], "limit": limit})
        return int(cursor.rowcount)
