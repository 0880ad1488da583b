"""Long-lived Postgres connections for the delivery path, outside Django's per-task care."""

from typing import Any

import psycopg2
from django.db import connections


def connect(purpose: str) -> Any:
    """A new psycopg2 connection to the default database, in explicit transactions.

    Keepalives notice a dead server within half a minute; no statement may wait longer than that for a lock.
    """
    parameters = dict(connections["default"].get_connection_params())
    for name in ("cursor_factory", "context", "client_encoding"):
        parameters.pop(name, None)
    parameters["application_name"] = f"hourhand {purpose}"
    parameters.update(
        keepalives=1, keepalives_idle=10, keepalives_interval=5, keepalives_count=3, tcp_user_timeout=30_000
    )
    parameters["options"] = "-c timezone=UTC -c lock_timeout=30s"
    connection = psycopg2.connect(**parameters)
    connection.set_client_encoding("UTF8")
    return connection
