"""PostgreSQL: whether it answers, and its state. Every probe takes a cursor."""

from collections.abc import Iterator
from typing import Any

from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from psycopg2 import errors

from ops.doctor.examination import NotApplicableError, Probe, Source, UnreachableError
from ops.doctor.findings import Finding, ok, problem, warning
from ops.migrated import unknown_in
from runs import restore_guard
from runs.monitoring import system

_STATEMENT_MS = 5000
_UNMIGRATED = (errors.UndefinedTable, errors.UndefinedColumn)
#: Connections at most: of both web processes together, of one worker, of one beat.
_WEB_CONNECTIONS, _WORKER_CONNECTIONS, _BEAT_CONNECTIONS = 16, 9, 3
_CONNECTIONS = """
    WITH held AS (SELECT * FROM pg_stat_activity WHERE backend_type = 'client backend')
    SELECT whose, most, taken FROM (
        SELECT 'the server' AS whose, (SELECT count(*) FROM held) AS taken,
               current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int AS most
        UNION ALL
        SELECT 'this database', (SELECT count(*) FROM held WHERE held.datname = found.datname), datconnlimit
          FROM pg_database AS found WHERE datname = current_database() AND datconnlimit >= 0
        UNION ALL
        SELECT 'this account', (SELECT count(*) FROM held WHERE usename = rolname), rolconnlimit
          FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0
    ) AS room ORDER BY most - taken LIMIT 1
"""


def _run(probe: Probe) -> list[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(_STATEMENT_MS)])
            return list(probe(cursor))
    except (OperationalError, InterfaceError) as error:
        if connection.connection is None or connection.connection.closed:
            raise UnreachableError(str(error)) from error
        raise
    except ProgrammingError as error:
        if isinstance(error.__cause__, _UNMIGRATED):
            raise NotApplicableError("migrations are missing.") from error
        raise


def _close() -> None:
    connection.close()  # Django's connections are per thread, and this runs on the probes' thread


DATABASE = Source(
    title="PostgreSQL",
    run=_run,
    advice="Check that it runs, that DATABASE_URL is right, and that this host may connect. Don't restart workers: "
    "they hold results that are not recorded yet.",
    close=_close,
)


def answers(cursor: Any) -> Iterator[Finding]:
    settings = connection.settings_dict
    cursor.execute(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool, current_user,"
        " pg_database_size(current_database())"
    )
    read_only, user, size = cursor.fetchone()
    where = f"{settings['NAME']} at {settings['HOST'] or 'a local socket'}, as {user}, {size / 2**20:,.0f} MiB"
    if read_only:
        yield problem(
            "database",
            f"{where}: it is read-only, as a standby is.",
            "Set DATABASE_URL to the primary (target_session_attrs=read-write chooses it among several hosts).",
        )
    else:
        yield ok("database", f"{where}.")


def restored(cursor: Any) -> Iterator[Finding]:
    if restore_guard.is_copy(cursor):
        yield problem(
            "restored",
            "It was restored from a dump, which misses the calls made since: nothing fires.",
            restore_guard.ADVICE,
        )
    else:
        yield ok("restored", "Firing is not held after a restore.")


def connections(cursor: Any) -> Iterator[Finding]:
    """The scarcest limit, of the server, database or account, against what the living processes may open."""
    cursor.execute(_CONNECTIONS)
    scope, limit, taken = cursor.fetchone()
    alive = [process.kind for process in system.processes(cursor) if process.is_alive]
    workers, beats = alive.count("worker"), alive.count("beat")
    most = workers * _WORKER_CONNECTIONS + beats * _BEAT_CONNECTIONS + _WEB_CONNECTIONS
    usage = (
        f"{taken} of the {limit} of {scope} are taken; {workers} workers, {beats} beats and two web processes open "
        f"up to {most} ({_WORKER_CONNECTIONS} a worker, {_BEAT_CONNECTIONS} a beat, {_WEB_CONNECTIONS // 2} a web)"
    )
    advice = (
        "Raise max_connections of PostgreSQL, or run fewer processes: one worker can have a thousand calls in flight."
    )
    if limit - taken < _BEAT_CONNECTIONS:
        yield problem("connections", f"{usage}: the next process may be refused.", advice)
    elif limit - taken < _WEB_CONNECTIONS or most > limit:
        yield warning("connections", f"{usage}: few are left.", advice)
    else:
        yield ok("connections", f"{usage}.")


def migrations(_cursor: Any) -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    loader = executor.loader
    missing = executor.migration_plan(loader.graph.leaf_nodes())
    unknown = unknown_in(loader)
    if missing:
        yield problem(
            "migrations",
            f"{len(missing)} not applied, starting with {missing[0][0]}.",
            "Run manage.py prepare_database, then restart every process.",
        )
    elif unknown:
        yield problem(
            "migrations",
            f"The database is newer than this release: it has {unknown[-1]}.",
            "Run the newer release everywhere, or follow the upgrade guide's steps to roll back.",
        )
    else:
        yield ok("migrations", f"All {len(loader.applied_migrations)} applied.")
