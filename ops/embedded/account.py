"""The account of the embedded services: the user who starts them, but never root, which PostgreSQL refuses.

Root's project may be where no other account has access (in a directory of mode 700). No mode is changed for that: the
services' account keeps one capability, to search directories and read files, if it cannot start without.
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
# capabilities(7). The second also allows writing, but containers have it, and it executes files of mode 700.
_CAPABILITIES = ("dac_read_search", "dac_override")


@dataclass(frozen=True)
class SystemAccount:
    name: str
    uid: int
    gid: int


def service_account(existing: Path) -> SystemAccount | None:
    """The services' account if this process is root, else None: the user of this process.

    It is the owner of `existing` data, else a system account. Raises StartError if no account exists.
    """
    if os.geteuid() != 0:
        return None
    if existing.exists() and (owner := existing.stat()).st_uid != 0:
        return SystemAccount(_name(owner.st_uid), owner.st_uid, owner.st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return SystemAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise StartError(
        "PostgreSQL refuses to run as root, and neither the account postgres nor nobody exists. Add one "
        "(useradd --system postgres), start Hourhand as an ordinary user, or set DATABASE_URL and REDIS_URL."
    )


def identity(account: SystemAccount | None, *, probe: Sequence[str], reach: Sequence[Path]) -> RunAs | None:
    """How to become the account: without a capability if `probe` runs and the directories of `reach` open.

    It runs both, because only that covers modes, ACLs, mounts and containers. Raises StartError.
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
        f"The account {account.name}, which runs PostgreSQL for root, has no access to it: {refusals[0]}\n"
        f"Move the project and HOURHAND_DATA_DIR where {account.name} may enter every directory, start Hourhand as an "
        f"ordinary user, or set DATABASE_URL and REDIS_URL."
    )


def _refusal(argv: Sequence[str], run_as: RunAs) -> str | None:
    """The standard error of a command that fails under the account; None if it succeeds."""
    ended = subprocess.run(
        launch_command(argv, run_as=run_as), cwd="/", capture_output=True, text=True, check=False, timeout=30
    )
    return None if ended.returncode == 0 else ended.stderr.strip()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
