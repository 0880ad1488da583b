"""`python -m workers.alive beat` (or `worker`): a health check of the beat or worker on this host.

It looks for a heartbeat of that kind with this host's name; a container has one. It runs often, so it does without
Django. While the database is away it succeeds: that says nothing about the process, and a worker restarted then would
lose the results that it keeps until the database is back.
"""

import argparse
import os
import socket
import sys

import psycopg2

from runs.monitoring.heartbeats import ALIVE_SECONDS

_CONNECT_SECONDS = 4
_RECENT = """
    SELECT FROM runs_heartbeat
     WHERE kind = %s AND split_part(name, '@', 2) = %s AND seen_at > clock_timestamp() - %s * interval '1 second'
"""


def has_recent_heartbeat(url: str, kind: str, host: str) -> bool:
    """Whether this host's beat or worker has a recent heartbeat. Raises psycopg2.Error without a database."""
    connection = psycopg2.connect(url, connect_timeout=_CONNECT_SECONDS)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_RECENT, [kind, host, ALIVE_SECONDS])
            return cursor.rowcount > 0
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Exit with 0 unless this host's beat or worker has no recent heartbeat."
    )
    parser.add_argument("kind", choices=["beat", "worker"])
    kind, host = parser.parse_args().kind, socket.gethostname()
    try:
        alive = has_recent_heartbeat(os.environ["DATABASE_URL"], kind, host)
    except psycopg2.Error as error:
        sys.stdout.write(f"The database can't be reached, so {kind}@{host} counts as alive: {error}\n")
        return
    if not alive:
        sys.exit(f"{kind}@{host} has sent no heartbeat for {ALIVE_SECONDS:.0f} seconds.")


if __name__ == "__main__":
    main()
