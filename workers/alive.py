"""`python -m workers.alive beat` (or `worker`): whether the one on this host is at work. For health checks.

It asks for the heartbeat of a process of that kind with this host's name; in a container there is one. Without Django,
for it is asked often. A database that is away says nothing about a process that waits for it, and a worker that was
restarted then would lose the results that it keeps until the database is back. So only silence is a failure.
"""

import argparse
import os
import socket
import sys

import psycopg2

from runs.monitoring.heartbeats import ALIVE_SECONDS

_CONNECT_SECONDS = 4
_HEARD = """
    SELECT FROM runs_heartbeat
     WHERE kind = %s AND split_part(name, '@', 2) = %s AND seen_at > clock_timestamp() - %s * interval '1 second'
"""


def heard_from(url: str, kind: str, host: str) -> bool:
    """Whether a beat or worker of this host told of itself lately. Raises psycopg2.Error when nobody can be asked."""
    link = psycopg2.connect(url, connect_timeout=_CONNECT_SECONDS)
    try:
        with link.cursor() as cursor:
            cursor.execute(_HEARD, [kind, host, ALIVE_SECONDS])
            return cursor.rowcount > 0
    finally:
        link.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Exit with 0 unless this host's beat or worker has fallen silent.")
    parser.add_argument("kind", choices=["beat", "worker"])
    kind, host = parser.parse_args().kind, socket.gethostname()
    try:
        alive = heard_from(os.environ["DATABASE_URL"], kind, host)
    except psycopg2.Error as error:
        sys.stdout.write(f"The database can't be asked, so nothing is said against {kind}@{host}: {error}\n")
        return
    if not alive:
        sys.exit(f"{kind}@{host} has not been heard from for {ALIVE_SECONDS:.0f} seconds.")


if __name__ == "__main__":
    main()
