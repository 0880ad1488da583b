"""graphile-worker, a queue on PostgreSQL for Node.js: installed by npm into a temporary directory.

`graphile_worker/package.json` and its lock file pin the versions.
"""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

_HOME = Path(__file__).parent / "graphile_worker"
_INSTALL = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
_INSTALL_SECONDS = _DELIVER_SECONDS = 300


class NotInstallableError(Exception):
    """The reason why the peer cannot run."""


@functools.cache
def _installed() -> "tempfile.TemporaryDirectory[str]":
    """A directory with the installed worker, removed when this process ends. Raises NotInstallableError."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotInstallableError(f"{program} is not installed")
    directory = tempfile.TemporaryDirectory(prefix="hourhand-bench-")
    shutil.copytree(_HOME, directory.name, dirs_exist_ok=True)
    done = subprocess.run(
        _INSTALL, cwd=directory.name, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )
    if done.returncode:
        raise NotInstallableError(
            f"npm could not install it: {(done.stderr.strip() or 'no reason given').splitlines()[0]}"
        )
    return directory


def missing() -> str | None:
    """Install it. Returns why it cannot run, or None."""
    try:
        _installed()
    except NotInstallableError as error:
        return str(error)
    return None


def deliver(runs: int) -> float:
    """Deliver `runs` pending executions. Returns the seconds that it took."""
    command = ["node", "worker.mjs", "--runs", str(runs)]
    done = subprocess.run(
        command, cwd=_installed().name, capture_output=True, text=True, timeout=_DELIVER_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"graphile-worker: {done.stderr.strip()}")
    return float(done.stdout)
