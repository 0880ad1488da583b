"""Beats and workers: whether they are alive, agree and keep up; the clocks; and nightly retention."""

import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ops.doctor.findings import Finding, Severity, ok, problem, warning
from runs.monitoring import system
from runs.monitoring.system import KnownProcess
from workers.sharing import own_agreement

_DUE_LAG_SECONDS, _CLAIM_LAG_SECONDS, _CALLBACK_LAG_SECONDS = 10, 30, 60
_CLOCK_WARNING_SECONDS, _CLOCK_PROBLEM_SECONDS = 1.0, 30.0
_NEARLY_FULL = 0.9
_SHOWN_JOBS = 5
_AGREE = (
    "Give it the others' values and restart it. If its own values are the right ones, run manage.py settings_changed "
    "there: then the others wait until they have them."
)
_UNREADABLE = """
    SELECT workspace.slug, environment.slug, job.slug, version.number, mark.seen_by, rtrim(mark.error, '.'),
           count(*) OVER ()
      FROM jobs_unreadableversion AS mark
      JOIN jobs_jobversion AS version ON version.id = mark.job_version_id
      JOIN jobs_job AS job ON job.id = version.job_id
      JOIN jobs_jobenvironment AS row ON row.id = mark.job_environment_id
      JOIN accounts_environment AS environment ON environment.id = row.environment_id
      JOIN accounts_workspace AS workspace ON workspace.id = row.workspace_id
     ORDER BY mark.since LIMIT %s
"""
_RETENTION_SECONDS = 26 * 3600


def beats(cursor: Any) -> Iterator[Finding]:
    yield from _processes("beat", "beats", system.processes(cursor), "nothing fires")


def workers(cursor: Any) -> Iterator[Finding]:
    processes = [process for process in system.processes(cursor) if process.kind == "worker"]
    yield from _processes("worker", "workers", processes, "nothing is called")
    alive = [worker for worker in processes if worker.is_alive]
    in_flight, capacity = (sum(getattr(worker, name) or 0 for worker in alive) for name in ("in_flight", "capacity"))
    if alive and all(worker.draining for worker in alive):
        yield problem("draining", "Every worker drains and claims nothing.", "Restart them: only that ends draining.")
    if capacity and in_flight >= _NEARLY_FULL * capacity:
        yield warning(
            "in_flight",
            f"{in_flight:,} calls in flight, of {capacity:,} at most.",
            "Start more workers or raise HOURHAND_MAX_IN_FLIGHT. Slow endpoints occupy a slot until they answer.",
        )


def _processes(kind: str, name: str, processes: Sequence[KnownProcess], without: str) -> Iterator[Finding]:
    own = [process for process in processes if process.kind == kind]
    alive = [process.name for process in own if process.is_alive]
    silent = [f"{process.name} ({process.age_seconds / 60:,.0f} min)" for process in own if not process.is_alive]
    if not alive:
        yield problem(name, f"No {kind} is alive: {without}.", f"Start a {kind}. Its log says why the last one ended.")
    elif silent:
        yield warning(
            name,
            f"{len(alive)} alive; silent without a shutdown: {', '.join(silent)}.",
            "Start them again, or ignore them: they are forgotten after a day.",
        )
    else:
        yield ok(name, f"{len(alive)} alive: {', '.join(alive)}.")


def agreement(cursor: Any) -> Iterator[Finding]:
    """Whether this host and all living beats and workers have the same shared settings."""
    differs = own_agreement().compare(cursor)
    if differs is None:
        yield ok("agreement", "No beat or worker has stored its settings yet.")
    elif differs:
        yield problem("agreement", f"This host differs from the beats and workers: {', '.join(differs)}.", _AGREE)
    else:
        yield ok("agreement", "This host has the beats' and workers' settings and release.")
    alive = [process for process in system.processes(cursor) if process.is_alive]
    for process in alive:
        if process.differs:
            yield problem("agreement", f"{process.name} claims nothing, because it differs: {process.differs}.", _AGREE)
    releases = sorted({process.release for process in alive if process.release})
    if len(releases) > 1:
        yield warning("agreement", f"Releases {' and '.join(releases)} run at the same time.", "Finish the upgrade.")


def lag(cursor: Any) -> Iterator[Finding]:
    lags = system.lags(cursor)
    if lags.due_seconds > _DUE_LAG_SECONDS:
        yield problem(
            "due_lag",
            f"The oldest due occurrence has waited {lags.due_seconds:,.0f} s to be fired.",
            "Check that a beat is alive, and look for locks and slow queries in pg_stat_activity.",
        )
    if lags.claim_seconds > _CLAIM_LAG_SECONDS:
        yield problem(
            "claim_lag",
            f"The oldest due execution has waited {lags.claim_seconds:,.0f} s for a worker.",
            "Start more workers, or find out why the present ones cannot keep up.",
        )
    if lags.due_seconds <= _DUE_LAG_SECONDS and lags.claim_seconds <= _CLAIM_LAG_SECONDS:
        yield ok("lag", f"{lags.due_seconds:.1f} s to be fired, {lags.claim_seconds:.1f} s for a worker.")


def callbacks(cursor: Any) -> Iterator[Finding]:
    pending, lag_seconds = system.pending_callbacks(cursor)
    if lag_seconds > _CALLBACK_LAG_SECONDS:
        yield warning(
            "callbacks",
            f"The longest due has waited {lag_seconds:,.0f} s for a worker; {pending:,} are pending.",
            "Start more workers, or see callbacks_database_away and callbacks_turn_failed in their logs.",
        )
    else:
        yield ok("callbacks", f"{pending:,} pending; the longest due has waited {lag_seconds:.1f} s for a worker.")


def unreadable(cursor: Any) -> Iterator[Finding]:
    """Jobs that wait because a beat or worker cannot read their version."""
    cursor.execute(_UNREADABLE, [_SHOWN_JOBS])
    rows = cursor.fetchall()
    if not rows:
        yield ok("unreadable_jobs", "Every due job's version could be read.")
        return
    count = rows[0][-1]
    jobs = "; ".join(
        f"{job} in {workspace}/{environment}, version {number}, on {host}: {error}"
        for workspace, environment, job, number, host, error, _ in rows
    )
    more = f"; and {count - len(rows):,} more" if count > len(rows) else ""
    yield problem(
        "unreadable_jobs",
        f"{count:,} wait because their version cannot be read: {jobs}{more}.",
        "Finish the upgrade, or update that host's time zones (tzdata), or save the job again. It then continues by "
        "itself.",
    )


def retention(cursor: Any) -> Iterator[Finding]:
    last = system.retention(cursor).last
    if last is None:
        yield ok("retention", "It has not run yet.")
    elif last.age_seconds > _RETENTION_SECONDS:
        yield warning(
            "retention",
            f"The last nightly round ended {last.age_seconds / 3600:,.0f} hours ago: history grows.",
            "Check that a worker consumes the queue chores, and that the periodic task is enabled in the dashboard.",
        )
    else:
        work = f"took {last.seconds:,.0f} s and removed {last.executions:,} executions"
        yield ok("retention", f"Ended {last.age_seconds / 3600:,.0f} hours ago, {work}.")


def own_clock(cursor: Any) -> Iterator[Finding]:
    """This host's clock against the database's, which decides when jobs fire."""
    before = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    ahead_seconds = (before + time.time()) / 2 - cursor.fetchone()[0]
    yield _clock(f"{socket.gethostname()} (this host)", ahead_seconds)


def other_clocks(cursor: Any) -> Iterator[Finding]:
    """The clocks of living beats and workers, from their last heartbeat: those that are wrong."""
    for process in system.processes(cursor):
        if process.is_alive and process.clock_ahead_seconds is not None:
            finding = _clock(process.name, process.clock_ahead_seconds)
            if finding.verdict is not Severity.OK:
                yield finding


def _clock(owner: str, ahead_seconds: float) -> Finding:
    skew = f"{owner}: {abs(ahead_seconds):,.2f} s {'ahead of' if ahead_seconds > 0 else 'behind'} the database."
    advice = "Start NTP there. Firing uses the database's clock; signatures and measured times use the worker's."
    if abs(ahead_seconds) > _CLOCK_PROBLEM_SECONDS:
        return problem("clock", skew, advice)
    if abs(ahead_seconds) > _CLOCK_WARNING_SECONDS:
        return warning("clock", skew, advice)
    return ok("clock", skew)
