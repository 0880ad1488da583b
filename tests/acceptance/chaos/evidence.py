"""Reads what the oracle judges: rows of the database, asked without the application, and the target's log."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

from tests.acceptance.chaos.history import Exchange, Execution, History, Job, Period, Run
from tests.acceptance.chaos.house import House
from tests.acceptance.chaos.workload import SECRET

_REDACTED = "[redacted]"
_JOBS = """
    SELECT job.id::text, job.slug, workspace.slug, job.created_at FROM jobs_job AS job
      JOIN accounts_workspace AS workspace ON workspace.id = job.workspace_id ORDER BY job.id
"""
_PERIODS = """
    SELECT row.job_id::text, period.state, period.from_at, period.until_at,
           (version.config -> 'schedule' ->> 'every_seconds')::int
      FROM jobs_scheduleperiod AS period JOIN jobs_jobenvironment AS row ON row.id = period.job_environment_id
      JOIN jobs_jobversion AS version ON version.id = period.job_version_id ORDER BY period.from_at
"""
_EXECUTIONS = """
    SELECT execution.id::text, job_id::text, workspace.slug, trigger, status, scheduled_for, scheduled_until,
           occurrences, skip_reason, attempts
      FROM runs_execution AS execution JOIN accounts_workspace AS workspace ON workspace.id = execution.workspace_id
"""
_RUNS = """
    SELECT execution_id::text, number, workspace.slug, status, failure_reason, worker, request_body, response_status,
           response_body
      FROM runs_run AS run JOIN accounts_workspace AS workspace ON workspace.id = run.workspace_id
"""
#: Where somebody's texts are kept; what the secret itself is kept in is encrypted, and looked at too.
_TEXTS = "SELECT '{table} ' || {table}.id::text FROM {table} WHERE {table}::text LIKE %s LIMIT 5"
_TABLES = ("runs_run", "runs_execution", "jobs_jobversion", "accounts_secret", "accounts_auditentry")


def gather(house: House, *, asked: Iterable[str]) -> History:
    """All there is to know of a house that has come to rest."""
    rows = house.services.rows
    periods: dict[str, list[Period]] = defaultdict(list)
    for job_id, *told in rows(_PERIODS):
        periods[job_id].append(Period(*told))
    return History(
        jobs=[Job(*told, periods=tuple(periods[told[0]])) for told in rows(_JOBS)],
        executions=[Execution(*told) for told in rows(_EXECUTIONS)],
        runs=[Run(*told) for told in rows(_RUNS)],
        exchanges=[_as_kept(exchange) for exchange in house.target.exchanges()],
        lost_workers=frozenset(house.lost),
        asked=frozenset(asked),
        changes=tuple(house.changes),
        overdue=tuple(house.overdue.values()),
        secrets_seen=_secrets_seen(house),
        strangers_seen=_strangers_seen(house),
    )


def _as_kept(exchange: Exchange) -> Exchange:
    """What its run should tell of a body with a secret in it."""
    return dataclasses.replace(exchange, body=exchange.body.replace(SECRET, _REDACTED))


def _secrets_seen(house: House) -> list[str]:
    found = [where for table in _TABLES for (where,) in house.services.rows(_TEXTS.format(table=table), f"%{SECRET}%")]
    logs = [house.installation.output, *(house.installation.directory / "log").glob("*.log*")]
    return found + [path.name for path in logs if SECRET.encode() in path.read_bytes()]


def _strangers_seen(house: House) -> list[str]:
    """Each workspace's key asks for its own and for the other's."""
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
