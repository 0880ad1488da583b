"""Beats and workers, what waits for them, their clocks and this one's, and what is removed at night."""

import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ops.doctor.findings import Finding, Severity, ok, problem, warning
from runs.monitoring import system
from runs.monitoring.system import KnownProcess
from workers.sharing import own_agreement

_DUE_LAG_SECONDS, _CLAIM_LAG_SECONDS = 10, 30
_OFF_SECONDS, _FAR_OFF_SECONDS = 1.0, 30.0
_FULL = 0.9
_NAMED = 5
_PUT_RIGHT = (
    "Give it the values that the others have and restart it. If its values are the right ones, run manage.py "
    "settings_changed there: then the others wait for theirs."
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
    known = [one for one in system.processes(cursor) if one.kind == "worker"]
    yield from _processes("worker", "workers", known, "nothing is called")
    alive = [one for one in known if one.is_alive]
    taken, places = (sum(getattr(one, name) or 0 for one in alive) for name in ("in_flight", "capacity"))
    if alive and all(one.draining for one in alive):
        yield problem(
            "draining", "Every worker drains and takes no more work.", "Start them anew: only that ends draining."
        )
    if places and taken >= _FULL * places:
        yield warning(
            "in_flight",
            f"{taken:,} of {places:,} places for calls are taken.",
            "Start more workers or raise HOURHAND_MAX_IN_FLIGHT; slow endpoints take a place for as long as they need.",
        )


def _processes(kind: str, name: str, known: Sequence[KnownProcess], without: str) -> Iterator[Finding]:
    own = [one for one in known if one.kind == kind]
    alive = [one.name for one in own if one.is_alive]
    silent = [f"{one.name} ({one.age_seconds / 60:,.0f} min)" for one in own if not one.is_alive]
    if not alive:
        yield problem(
            name, f"No {kind} was heard from lately: {without}.", f"Start a {kind}; its log says why it ended."
        )
    elif silent:
        yield warning(
            name,
            f"{len(alive)} alive; silent without an orderly end: {', '.join(silent)}.",
            "Start them again, or let them be: after a day they are forgotten.",
        )
    else:
        yield ok(name, f"{len(alive)} alive: {', '.join(alive)}.")


def agreement(cursor: Any) -> Iterator[Finding]:
    """Whether all have the settings that they must share: this host, and the beats and workers that told of it."""
    differs = own_agreement().compare(cursor)
    if differs is None:
        yield ok("agreement", "No beat or worker has been here yet.")
    elif differs:
        yield problem("agreement", f"This host differs from the house: {', '.join(differs)}.", _PUT_RIGHT)
    else:
        yield ok("agreement", "This host has the house's settings and release.")
    alive = [one for one in system.processes(cursor) if one.is_alive]
    for one in alive:
        if one.differs:
            yield problem("agreement", f"{one.name} takes no work, for it differs: {one.differs}.", _PUT_RIGHT)
    releases = sorted({one.release for one in alive if one.release})
    if len(releases) > 1:
        yield warning("agreement", f"Releases {' and '.join(releases)} work side by side.", "End the upgrade.")


def lag(cursor: Any) -> Iterator[Finding]:
    found = system.lags(cursor)
    if found.due_seconds > _DUE_LAG_SECONDS:
        yield problem(
            "due_lag",
            f"What is due waits {found.due_seconds:,.0f} s to be fired.",
            "See that a beat ticks, and look for locks and slow queries in pg_stat_activity.",
        )
    if found.claim_seconds > _CLAIM_LAG_SECONDS:
        yield problem(
            "claim_lag",
            f"Due executions wait {found.claim_seconds:,.0f} s for a worker.",
            "Start more workers, or see why those that live can't keep up.",
        )
    if found.due_seconds <= _DUE_LAG_SECONDS and found.claim_seconds <= _CLAIM_LAG_SECONDS:
        yield ok("lag", f"Due for {found.due_seconds:.1f} s, for a worker {found.claim_seconds:.1f} s.")


def unreadable(cursor: Any) -> Iterator[Finding]:
    """Jobs that wait, for beats or workers could not read their version."""
    cursor.execute(_UNREADABLE, [_NAMED])
    rows = cursor.fetchall()
    if not rows:
        yield ok("unreadable_jobs", "Every version that was due could be read.")
        return
    count = rows[0][-1]
    named = "; ".join(
        f"{job} in {workspace}/{environment}, version {number}, on {host}: {error}"
        for workspace, environment, job, number, host, error, _ in rows
    )
    more = f"; and {count - len(rows):,} more" if count > len(rows) else ""
    yield problem(
        "unreadable_jobs",
        f"{count:,} wait, for their version can't be read: {named}{more}.",
        "End the upgrade, or update the time zones (tzdata) of that host; or save the job anew. It goes on by itself.",
    )


def retention(cursor: Any) -> Iterator[Finding]:
    last = system.retention(cursor).last
    if last is None:
        yield ok("retention", "No night has passed yet.")
    elif last.age_seconds > _RETENTION_SECONDS:
        yield warning(
            "retention",
            f"The last nightly round ended {last.age_seconds / 3600:,.0f} hours ago: history grows.",
            "See that a worker listens to the queue chores, and in the admin that the periodic task is enabled.",
        )
    else:
        took = f"took {last.seconds:,.0f} s and removed {last.executions:,} executions"
        yield ok("retention", f"Ended {last.age_seconds / 3600:,.0f} hours ago, {took}.")


def own_clock(cursor: Any) -> Iterator[Finding]:
    """This host's against the database's, which is the one that firing goes by."""
    before = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    ahead = (before + time.time()) / 2 - cursor.fetchone()[0]
    yield _clock(f"{socket.gethostname()} (this host)", ahead)


def other_clocks(cursor: Any) -> Iterator[Finding]:
    """Those of beats and workers, as they told with their last heartbeat."""
    for one in system.processes(cursor):
        if one.is_alive and one.clock_ahead_seconds is not None:
            found = _clock(one.name, one.clock_ahead_seconds)
            if found.verdict is not Severity.OK:
                yield found


def _clock(whose: str, ahead: float) -> Finding:
    told = f"{whose}: {abs(ahead):,.2f} s {'ahead of' if ahead > 0 else 'behind'} the database."
    advice = "Start NTP there. Firing goes by the database's clock; signatures and measured times go by the worker's."
    if abs(ahead) > _FAR_OFF_SECONDS:
        return problem("clock", told, advice)
    if abs(ahead) > _OFF_SECONDS:
        return warning("clock", told, advice)
    return ok("clock", told)
