"""PostgreSQL: whether it is one that Hourhand can live on. Every look takes a cursor."""

from collections.abc import Iterator
from typing import Any

from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from psycopg2 import errors

from ops.doctor.examination import AwayError, Look, NotNowError, Source
from ops.doctor.findings import Finding, ok, problem, warning
from ops.migrated import unknown_in
from runs import restore_guard
from runs.monitoring import system

_STATEMENT_MS = 5000
_UNMIGRATED = (errors.UndefinedTable, errors.UndefinedColumn)
#: Connections that one process holds at most: threads of the web processes, links and tasks of a worker, of a beat.
_OF_WEB, _OF_WORKER, _OF_BEAT = 16, 8, 3
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


def _hold(look: Look) -> list[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(_STATEMENT_MS)])
            return list(look(cursor))
    except (OperationalError, InterfaceError) as error:
        if connection.connection is None or connection.connection.closed:
            raise AwayError(str(error)) from error
        raise
    except ProgrammingError as error:
        if isinstance(error.__cause__, _UNMIGRATED):
            raise NotNowError("its table lacks migrations.") from error
        raise


def _let_go() -> None:
    connection.close()  # of the thread that asks: each has its own


DATABASE = Source(
    title="PostgreSQL",
    hold=_hold,
    advice="See that it runs, that DATABASE_URL is right, and that this host may connect. Workers keep what has ended: "
    "don't restart them.",
    let_go=_let_go,
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
            "Let DATABASE_URL name the primary (target_session_attrs=read-write chooses it among several hosts).",
        )
    else:
        yield ok("database", f"{where}.")


def restored(cursor: Any) -> Iterator[Finding]:
    if restore_guard.is_copy(cursor):
        yield problem(
            "restored",
            "It was restored from a dump, which does not know what was called since: nothing fires.",
            restore_guard.ADVICE,
        )
    else:
        yield ok("restored", "Nothing is held.")


def connections(cursor: Any) -> Iterator[Finding]:
    """Room where it is least: of the server, the database or the account; and what the living processes may come to."""
    cursor.execute(_CONNECTIONS)
    whose, limit, taken = cursor.fetchone()
    alive = [one.kind for one in system.processes(cursor) if one.is_alive]
    workers, beats = alive.count("worker"), alive.count("beat")
    most = workers * _OF_WORKER + beats * _OF_BEAT + _OF_WEB
    told = (
        f"{taken} of the {limit} of {whose} are taken; {workers} workers, {beats} beats and two web processes come to "
        f"{most} at most ({_OF_WORKER} each worker, {_OF_BEAT} each beat, {_OF_WEB // 2} each web process)"
    )
    advice = "Raise max_connections of PostgreSQL, or run fewer processes: one worker makes a thousand calls at once."
    if limit - taken < _OF_BEAT:
        yield problem("connections", f"{told}: the next process may be refused.", advice)
    elif limit - taken < _OF_WEB or most > limit:
        yield warning("connections", f"{told}: room is short.", advice)
    else:
        yield ok("connections", f"{told}.")


def migrations(_cursor: Any) -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    loader = executor.loader
    missing = executor.migration_plan(loader.graph.leaf_nodes())
    unknown = unknown_in(loader)
    if missing:
        yield problem(
            "migrations",
            f"{len(missing)} not applied, {missing[0][0]} the first.",
            "Run manage.py prepare_database, then start every process anew.",
        )
    elif unknown:
        yield problem(
            "migrations",
            f"The database is newer than this release: it has {unknown[-1]}.",
            "Run the newer release everywhere, or go back by the steps of the upgrade guide.",
        )
    else:
        yield ok("migrations", f"All {len(loader.applied_migrations)} are applied.")
