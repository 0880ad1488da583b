"""Reads the oracle's input: database rows, queried without the application, and the target's log."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.acceptance.chaos.history import Exchange, Execution, Flow, History, Job, Period, Run
from tests.acceptance.chaos.house import LEASE_SECONDS, House
from tests.acceptance.chaos.workload import SECRET

#: Runs a query and returns its rows.
Rows = Callable[..., Sequence[tuple[Any, ...]]]

_REDACTED = "[redacted]"
_JOBS = """
    SELECT job.id::text, job.slug, workspace.slug, job.created_at FROM jobs_job AS job
      JOIN accounts_workspace AS workspace ON workspace.id = job.workspace_id ORDER BY job.id
"""
_PERIODS = """
    SELECT row.job_id::text, period.state, period.from_at, period.until_at,
           (version.config -> 'schedule' ->> 'every_seconds')::int, version.config ->> 'overlap',
           (version.config ->> 'concurrency')::int, version.config ->> 'misfire',
           (version.config ->> 'misfire_grace_seconds')::int
      FROM jobs_scheduleperiod AS period JOIN jobs_jobenvironment AS row ON row.id = period.job_environment_id
      JOIN jobs_jobversion AS version ON version.id = period.job_version_id ORDER BY period.from_at
"""
_EXECUTIONS = """
    SELECT execution.id::text, job_id::text, workspace.slug, trigger, status, scheduled_for, scheduled_until,
           occurrences, skip_reason, attempts, extract(epoch FROM execution.created_at)::float8,
           extract(epoch FROM execution.finished_at)::float8
      FROM runs_execution AS execution JOIN accounts_workspace AS workspace ON workspace.id = execution.workspace_id
     WHERE execution.step = ''
     UNION ALL
    SELECT execution.id::text || '/' || state.step, job_id::text, workspace.slug, 'step', state.status, NULL, NULL, 1,
           '', state.attempts, extract(epoch FROM state.started_at)::float8,
           extract(epoch FROM state.finished_at)::float8
      FROM runs_stepstate AS state JOIN runs_execution AS execution ON execution.id = state.execution_id
      JOIN accounts_workspace AS workspace ON workspace.id = execution.workspace_id
     WHERE state.type = 'http'
"""
_FLOWS = """
    SELECT execution.id::text, execution.status, execution.failure_reason,
           (SELECT coalesce(json_agg(json_build_array(state.step, state.status) ORDER BY state.id), '[]')
              FROM runs_stepstate AS state WHERE state.execution_id = execution.id)
      FROM runs_execution AS execution WHERE execution.step <> ''
"""
_RUNS = """
    SELECT execution_id::text || CASE WHEN step = '' THEN '' ELSE '/' || step END, number, workspace.slug, status,
           failure_reason, worker, request_body, response_status,
           response_body, extract(epoch FROM run.started_at)::float8, extract(epoch FROM run.finished_at)::float8
      FROM runs_run AS run JOIN accounts_workspace AS workspace ON workspace.id = run.workspace_id
"""
#: Columns with users' texts, and the encrypted column of the secret itself.
_TEXTS = "SELECT '{table} ' || {table}.id::text FROM {table} WHERE {table}::text LIKE %s LIMIT 5"
_TABLES = ("runs_run", "runs_execution", "runs_stepstate", "jobs_jobversion", "accounts_secret", "accounts_auditentry")


def rows_of(rows: Rows, exchanges: Sequence[Exchange], **known: Any) -> History:
    """Return the history from a database, a target's log and the events of the processes."""
    periods: dict[str, list[Period]] = defaultdict(list)
    for job_id, *columns in rows(_PERIODS):
        periods[job_id].append(Period(*columns))
    return History(
        jobs=[Job(*columns, periods=tuple(periods[columns[0]])) for columns in rows(_JOBS)],
        executions=[Execution(*columns) for columns in rows(_EXECUTIONS)],
        runs=[Run(*columns) for columns in rows(_RUNS)],
        exchanges=exchanges,
        flows=[Flow(*columns) for columns in rows(_FLOWS)],
        **known,
    )


def gather(house: House, *, steps_unknown: Sequence[str], sent: Mapping[str, Sequence[str]]) -> History:
    """Return the history of a house that is idle again."""
    return rows_of(
        house.services.rows,
        [_as_kept(exchange) for exchange in house.target.exchanges()],
        lease_seconds=LEASE_SECONDS,
        stalls=house.stalls.all(),
        disturbances=house.disturbances(),
        asked=frozenset(house.asked),
        unsure=dict(house.unsure),
        changes=tuple(house.changes),
        overdue=tuple(house.overdue.values()),
        secrets_seen=_secrets_seen(house),
        strangers_seen=_strangers_seen(house) if house.is_whole() else (),  # an incomplete house is a separate finding
        steps_unknown=steps_unknown,
        sent=sent,
    )


def _as_kept(exchange: Exchange) -> Exchange:
    """Return a body with a secret as its run should show it."""
    return dataclasses.replace(exchange, body=exchange.body.replace(SECRET, _REDACTED))


def _secrets_seen(house: House) -> list[str]:
    found = [where for table in _TABLES for (where,) in house.services.rows(_TEXTS.format(table=table), f"%{SECRET}%")]
    logs = [house.installation.output, *(house.installation.directory / "log").glob("*.log*")]
    return found + [path.name for path in logs if SECRET.encode() in path.read_bytes()]


def _strangers_seen(house: House) -> list[str]:
    """Request own and foreign objects with each workspace's key."""
    found = []
    for workspace, other in (("default", "other-0"), ("other", "steady-0")):
        if house.ask("GET", f"/jobs/{other}/", workspace=workspace).status_code != 404:
            found.append(f"{workspace} sees {other}")
        listed = house.ask("GET", "/executions/?limit=100", workspace=workspace).json()["results"]
        ids = [one["id"] for one in listed]
        query = (
            "SELECT execution.id::text FROM runs_execution AS execution JOIN accounts_workspace AS workspace"
            " ON workspace.id = execution.workspace_id WHERE execution.id = ANY(%s::uuid[]) AND workspace.slug <> %s"
        )
        found += [f"{workspace} sees {key}" for (key,) in house.services.rows(query, ids, workspace)]
    return found
