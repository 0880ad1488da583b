"""Whom the embedded services run as: the user who starts them, but never root, which PostgreSQL refuses to be.

Root's project may live where no other account can go (a directory of mode 700). Nothing is opened to the world for
that: the service's account keeps one capability, to pass directories and read files, if it can't start without.
"""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.supervisor.launch import launch_command
from ops.supervisor.program import RunAs, StartError

_CANDIDATES = ("postgres", "nobody")
# capabilities(7). The second writes as well, but is what containers have, and what runs a file of mode 700.
_CAPABILITIES = ("dac_read_search", "dac_override")


@dataclass(frozen=True)
class SystemAccount:
    name: str
    uid: int
    gid: int


def service_account(existing: Path) -> SystemAccount | None:
    """The account for the services when this process is root, else None: the user themself.

    Data that exist already (`existing`) are served by their owner. Raises StartError when there is no account.
    """
    if os.geteuid() != 0:
        return None
    if existing.exists() and (found := existing.stat()).st_uid != 0:
        return SystemAccount(_name(found.st_uid), found.st_uid, found.st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return SystemAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise StartError(
        "PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it as. Add one "
        "(useradd --system postgres), start Hourhand as an ordinary user, or set DATABASE_URL and REDIS_URL."
    )


def identity(account: SystemAccount | None, *, probe: Sequence[str], reach: Sequence[Path]) -> RunAs | None:
    """How to become the account: with no capability if `probe` runs and the directories of `reach` open without one.

    Tried for real, since only that accounts for modes, ACLs, mounts and containers at once. Raises StartError.
    """
    if account is None:
        return None
    refusals = []
    for capability in (None, *_CAPABILITIES):
        run_as = RunAs(account.uid, account.gid, capability)
        refusal = _refusal(probe, run_as) or _refusal(("ls", *map(str, reach)), run_as)
        if refusal is None:
            return run_as
        refusals.append(refusal)
    raise StartError(
        f"The account {account.name}, which runs PostgreSQL for root, can't get to it: {refusals[0]}\n"
        f"Put the project and HOURHAND_DATA_DIR where {account.name} may enter every directory, start Hourhand as an "
        f"ordinary user, or set DATABASE_URL and REDIS_URL."
    )


def _refusal(argv: Sequence[str], run_as: RunAs) -> str | None:
    """What a command that fails under the account writes to its standard error; None if it succeeds."""
    ended = subprocess.run(
        launch_command(argv, run_as=run_as), cwd="/", capture_output=True, text=True, check=False, timeout=30
    )
    return None if ended.returncode == 0 else ended.stderr.strip()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
