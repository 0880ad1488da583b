"""Convert DATABASE_URL to Django's DATABASES entry; libpq parses it, so its whole syntax works."""

from typing import Any

import psycopg2
from django.core.exceptions import ImproperlyConfigured
from psycopg2.extensions import parse_dsn

_LAST_PORT = 65535


def database_from_url(url: str) -> dict[str, Any]:
    """Parse a libpq URI (`postgresql://user:password@host:port/name?option=value`).

    Raises ImproperlyConfigured without repeating the URL, which may hold a password.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured("DATABASE_URL: should look like postgresql://user:password@host:5432/name.")
    try:
        dsn = parse_dsn(url)
    except psycopg2.ProgrammingError as error:
        raise ImproperlyConfigured("DATABASE_URL: libpq can't parse it; percent-encode special characters.") from error
    if not dsn.get("dbname"):
        raise ImproperlyConfigured("DATABASE_URL: has no database name; add it as the path, as in ...:5432/hourhand.")
    if any(not _is_port(port) for port in dsn.get("port", "").split(",") if port):
        raise ImproperlyConfigured("DATABASE_URL: its port should be a number from 1 to 65535.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": dsn.pop("dbname"),
        "USER": dsn.pop("user", ""),
        "PASSWORD": dsn.pop("password", ""),
        "HOST": dsn.pop("host", ""),
        "PORT": dsn.pop("port", ""),
        "OPTIONS": {"connect_timeout": 5, "application_name": "hourhand", **dsn},
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= _LAST_PORT
