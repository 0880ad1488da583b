"""System checks of PostgreSQL: its version, its order of texts, its durability and the account's privileges."""

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import DEFAULT_DB_ALIAS, connection

from ops.checks.tag import TAG

TESTED, _OLDEST = 18, 15
_WRITES = ("SELECT", "INSERT", "UPDATE", "DELETE")
_SHOWN_PRIVILEGES = 5
SystemCheck = Callable[..., list[CheckMessage]]


def _on_cursor(check: Callable[[Any], Iterator[CheckMessage]]) -> SystemCheck:
    """Register a check that takes a cursor. It runs only when Django is asked for the database, as by `--database`."""

    @register(TAG, Tags.database, deploy=True)
    def registered(databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
        if DEFAULT_DB_ALIAS not in (databases or ()):
            return []
        with connection.cursor() as cursor:
            return list(check(cursor))

    return registered


@_on_cursor
def version(_cursor: Any) -> Iterator[CheckMessage]:
    major, minor = connection.get_database_version()
    if major < _OLDEST:
        yield Error(
            f"PostgreSQL {major}.{minor} is too old.", hint=f"Upgrade to PostgreSQL {TESTED}.", id="hourhand.version"
        )
    elif major != TESTED:
        yield Warning(
            f"PostgreSQL {major}.{minor} is not tested; {TESTED} is.",
            hint=f"Upgrade to PostgreSQL {TESTED} when you can.",
            id="hourhand.version",
        )


@_on_cursor
def letters(cursor: Any) -> Iterator[CheckMessage]:
    """Encoding and collation: an upgrade of libc or ICU can change the order of texts beneath the indexes."""
    if connection.get_database_version()[0] < _OLDEST:
        return  # the columns read below do not exist
    cursor.execute(
        "SELECT pg_encoding_to_char(encoding), to_jsonb(database)::text, pg_database_collation_actual_version(oid)"
        "  FROM pg_database AS database WHERE datname = current_database()"
    )
    encoding, row, actual = cursor.fetchone()
    database = json.loads(row)
    provider = {"b": "builtin", "c": "libc", "i": "ICU"}.get(database["datlocprovider"], "?")
    locale = database.get("datlocale") or database["datcollate"]
    collation = f"{encoding}, {provider} {locale}"
    if encoding != "UTF8":
        yield Error(
            f"{collation}: some texts cannot be stored.",
            hint="Create a database with ENCODING UTF8 and move the data there.",
            id="hourhand.letters",
        )
    elif database["datcollversion"] and database["datcollversion"] != actual:
        yield Error(
            f"{collation}: the collation's version was {database['datcollversion']} and is {actual}, so indexes "
            "of texts may be wrong.",
            hint=f"REINDEX DATABASE, then ALTER DATABASE {connection.settings_dict['NAME']} REFRESH COLLATION VERSION.",
            id="hourhand.letters",
        )
    elif provider != "builtin" and locale not in {"C", "POSIX"}:
        yield Warning(
            f"{collation}: an upgrade of the operating system may change the order of texts beneath their indexes.",
            hint="Create new databases with LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' TEMPLATE template0; "
            "REINDEX this one after upgrades of the operating system.",
            id="hourhand.letters",
        )


@_on_cursor
def durability(cursor: Any) -> Iterator[CheckMessage]:
    cursor.execute(
        "SELECT name FROM pg_settings"
        " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'"
    )
    off = sorted(name for (name,) in cursor.fetchall())
    if off:
        yield Error(
            f"{' and '.join(off)} off: recorded runs can be lost or corrupted when the machine stops.",
            hint=f"Turn on {' and '.join(off)}. Hourhand is no faster without.",
            id="hourhand.durability",
        )


@_on_cursor
def privileges(cursor: Any) -> Iterator[CheckMessage]:
    tables = [model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    cursor.execute(
        "SELECT name, privilege FROM unnest(%s) AS name, unnest(%s) AS privilege"
        " WHERE to_regclass(quote_ident(name)) IS NOT NULL AND NOT has_table_privilege(quote_ident(name), privilege)",
        [tables, list(_WRITES)],
    )
    lacking = sorted({f"{privilege} on {table}" for table, privilege in cursor.fetchall()})
    cursor.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')")
    (may_create,) = cursor.fetchone()
    if lacking:
        more = f" and {len(lacking) - _SHOWN_PRIVILEGES} more" if len(lacking) > _SHOWN_PRIVILEGES else ""
        yield Error(
            f"The account lacks {', '.join(lacking[:_SHOWN_PRIVILEGES])}{more}.",
            hint="Let the account that migrates own the tables; grant the others SELECT, INSERT, UPDATE and DELETE.",
            id="hourhand.privileges",
        )
    elif not may_create:
        yield Warning(
            "The account may write every table but create none, so it cannot migrate.",
            hint="Run manage.py prepare_database with an account that may create tables.",
            id="hourhand.privileges",
        )
