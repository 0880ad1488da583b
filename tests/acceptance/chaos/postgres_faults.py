"""Faults of PostgreSQL: killed, suspended, unreachable, read-only, locked, out of connections."""

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
from psycopg2 import sql

from tests.acceptance.chaos.fault import UP_TO_A_LEASE, WHILE, Fault, Heal, over
from tests.acceptance.chaos.house import House, send
from tests.acceptance.chaos.redis_faults import hangs

_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE usename = current_user AND pid <> pg_backend_pid() AND NOT pid = ANY(%s)
"""
_ROUNDS = 3
_HEAL_SECONDS = 30.0
_MOST_CONNECTIONS = 500


def postgres_ends(number: signal.Signals) -> Fault:
    def strike(house: House) -> Heal:
        for process in house.services.postgres()[:1]:
            send(process, number)
        return over

    return Fault("PostgreSQL stopped (immediate)" if number == signal.SIGQUIT else "PostgreSQL restarted", strike)


def postgres_paused() -> Fault:
    return hangs("PostgreSQL paused", lambda house: house.services.postgres())


def postgres_refuses() -> Fault:
    """Break every connection and refuse new ones, by replacing the socket with one without a listener."""

    def strike(house: House) -> Heal:
        path = house.services.postgres_socket
        aside = path.with_suffix(".aside")
        with contextlib.ExitStack() as stack:
            try:
                cursor = stack.enter_context(house.services.database())
                path.rename(aside)
            except (psycopg2.Error, FileNotFoundError):
                return over
            deaf = socket.socket(socket.AF_UNIX)
            deaf.bind(str(path))
            cursor.execute(_OTHERS, [[]])
        return lambda: _listen_again(path, aside, deaf)

    return Fault("PostgreSQL refuses connections", strike, WHILE)


def _listen_again(path: Path, aside: Path, deaf: socket.socket) -> None:
    """Restore the real socket, unless a server started meanwhile has created another."""
    deaf.close()
    if _is_deaf(path):
        aside.replace(path)
    else:
        aside.unlink(missing_ok=True)


def _is_deaf(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) != 0


def backends_killed() -> Fault:
    """Break every connection three times; new ones are accepted."""

    def strike(house: House) -> Heal:
        for _ in range(_ROUNDS):
            with contextlib.suppress(psycopg2.Error), house.services.database() as cursor:
                cursor.execute(_OTHERS, [[]])
            time.sleep(0.5)
        return over

    return Fault("PostgreSQL's backends killed", strike)


# -- refused writes ----------------------------------------------------------------------------------------------------


def writes_refused() -> Fault:
    """Make open connections read-only, like a demoted primary."""
    on, off = "ALTER SYSTEM SET {} = on", "ALTER SYSTEM RESET {}"

    def strike(house: House) -> Heal:
        _order(house, on.format("default_transaction_read_only"), "SELECT pg_reload_conf()")
        return lambda: _surely(
            house, lambda: _order(house, off.format("default_transaction_read_only"), "SELECT pg_reload_conf()")
        )

    return Fault("PostgreSQL refuses writes", strike, UP_TO_A_LEASE)


def writes_refused_anew() -> Fault:
    """Cut all connections and make the database read-only, as after a failover."""

    def strike(house: House) -> Heal:
        name = sql.Identifier(house.services.database_name)
        _order(house, sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        _cut_all(house)

        def heal() -> None:
            _order(house, sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
            _cut_all(house)

        return lambda: _surely(house, heal)

    return Fault("PostgreSQL read-only after a failover", strike, UP_TO_A_LEASE)


def _order(house: House, *statements: "str | sql.Composed") -> None:
    """Execute as the superuser on a separate, writable connection."""
    with contextlib.suppress(psycopg2.OperationalError), house.services.superuser() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _cut_all(house: House) -> None:
    with contextlib.suppress(psycopg2.OperationalError), house.services.superuser() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [house.services.database_name],
        )


def _surely(house: House, heal: Callable[[], None]) -> None:
    """Undo read-only mode, repeatedly until the database accepts writes: another fault may have ended it."""
    until = time.monotonic() + _HEAL_SECONDS
    while time.monotonic() < until:
        heal()
        with contextlib.suppress(psycopg2.Error):
            if house.services.rows("SHOW transaction_read_only") == [("off",)]:
                return
        time.sleep(0.2)


# -- locks and connections ---------------------------------------------------------------------------------------------


def table_locked(table: str) -> Fault:
    """Lock a table exclusively, as ALTER TABLE does: all wait."""

    def strike(house: House) -> Heal:
        link = psycopg2.connect(house.services.database_url, connect_timeout=5)
        try:
            with link.cursor() as cursor:
                cursor.execute("SET lock_timeout = '20s'")
                cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
        except psycopg2.Error:
            link.close()
            return over
        return link.close

    return Fault(f"{table} locked", _unless_away(strike), UP_TO_A_LEASE)


def connections_used_up() -> Fault:
    """Cut the house's connections and use up all others."""

    def strike(house: House) -> Heal:
        held: list[psycopg2.extensions.connection] = []
        for _ in range(_ROUNDS):
            with contextlib.suppress(psycopg2.Error):
                while len(held) < _MOST_CONNECTIONS:
                    held.append(psycopg2.connect(house.services.database_url, connect_timeout=5))
            with contextlib.suppress(psycopg2.Error), house.services.superuser() as cursor:
                own = [link.get_backend_pid() for link in held if not link.closed]
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND NOT pid = ANY(%s)",
                    [house.services.database_name, own],
                )
        return lambda: _close_all(held)

    return Fault("PostgreSQL's connections used up", strike, WHILE)


def _close_all(links: "list[psycopg2.extensions.connection]") -> None:
    for link in links:
        with contextlib.suppress(psycopg2.Error):
            link.close()


def _unless_away(strike: Callable[[House], Heal]) -> Callable[[House], Heal]:
    """Ignore errors of a database that another fault has just ended."""

    def attempt(house: House) -> Heal:
        try:
            return strike(house)
        except psycopg2.OperationalError:
            return over

    return attempt
