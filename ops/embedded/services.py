"""The embedded services of a data directory, as programs to supervise."""

import shutil
from pathlib import Path

from ops.embedded.account import SystemAccount, identity, service_account
from ops.embedded.directories import private_directory
from ops.embedded.locations import Locations
from ops.embedded.postgres import installation, postgres_binary, postgres_program
from ops.embedded.valkey import valkey_binary, valkey_program
from ops.supervisor.program import Program, RunAs


def prepare_directories(locations: Locations, *, embedded: bool) -> SystemAccount | None:
    """Create the directories of this process. Returns the account of the embedded services if they need another one.

    The account's group may search the new directories. Raises StartError.
    """
    account = service_account(_existing(locations)) if embedded else None
    group, uid = (account.gid, account.uid) if account else (None, None)
    for directory in (locations.root, locations.run, locations.sockets.parent):
        private_directory(directory, group=group, also=uid)
    private_directory(locations.logs, also=uid)
    return account


def embedded_programs(
    locations: Locations,
    account: SystemAccount | None,
    *,
    postgres: bool = True,
    valkey: bool = True,
    durable: bool = True,
) -> list[Program]:
    """The programs of the chosen services. Call it with the data directory locked. Raises StartError."""
    if not (postgres or valkey):
        return []
    run_as = _run_as(locations, account)
    programs = []
    if postgres:
        programs.append(postgres_program(locations, run_as, durable=durable))
    if valkey:
        programs.append(valkey_program(locations, run_as))
    return programs


def remove_directories(locations: Locations) -> None:
    """Remove the socket directory if it is outside the data directory. Call it once everything has stopped."""
    if not locations.sockets.is_relative_to(locations.root):
        shutil.rmtree(locations.sockets.parent, ignore_errors=True)


def _existing(locations: Locations) -> Path:
    return locations.cluster if locations.cluster.exists() else locations.valkey


def _run_as(locations: Locations, account: SystemAccount | None) -> RunAs | None:
    if account is None:
        return None
    own = [
        private_directory(path, owner=RunAs(account.uid, account.gid)) for path in (locations.sockets, locations.valkey)
    ]
    return identity(
        account,
        # Searches for its programs and data as a real start does, and creates nothing.
        probe=(postgres_binary("initdb"), "--show", "--pgdata", str(locations.cluster)),
        reach=(installation() / "share", Path(valkey_binary()).parent, *own),
    )
