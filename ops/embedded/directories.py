"""Private directories: made with mode 0700, and refused when somebody else owns them."""

import os
import stat
from pathlib import Path

from ops.supervisor.program import RunAs, StartError


def private_directory(
    path: Path, *, owner: RunAs | None = None, group: int | None = None, also: int | None = None
) -> Path:
    """Make sure that `path` is a directory of one owner: this process's user, or the account `owner`.

    A new directory of this process may be searched, not read, by `group`, so that a service's account gets to its own
    below. One that exists may also belong to the uid `also`. Raises StartError.
    """
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        pass
    except OSError as error:
        raise StartError(f"{path} can't be made: {error.strerror}. Set HOURHAND_DATA_DIR to one of yours.") from error
    else:
        if owner is not None:
            os.chown(path, owner.uid, owner.gid)
        elif group is not None:
            os.chown(path, -1, group)
            path.chmod(0o710)
    _refuse_strangers(path, {os.geteuid() if owner is None else owner.uid, also})
    return path


def _refuse_strangers(path: Path, owners: set[int | None]) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StartError(f"{path} should be a directory, and not a link to one. Move it away and start again.")
    if found.st_uid not in owners:
        raise StartError(
            f"{path} belongs to uid {found.st_uid}, which is not the user who starts Hourhand. Start it as that user, "
            f"or set HOURHAND_DATA_DIR to another directory."
        )
    if found.st_mode & stat.S_IWOTH:
        raise StartError(f"{path} may be written by anyone. Take that right away: chmod o-w {path}")
