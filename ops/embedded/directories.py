"""Private directories: created with mode 0700, and refused if another account owns them."""

import os
import stat
from pathlib import Path

from ops.supervisor.program import RunAs, StartError


def private_directory(
    path: Path, *, owner: RunAs | None = None, group: int | None = None, also: int | None = None
) -> Path:
    """Create `path` if it is missing, and check that it belongs to `owner`, by default this process's user.

    `group` may search a new directory of this process, not read it, so that a service's account reaches its own
    directories below. An existing directory may also belong to the uid `also`. Raises StartError.
    """
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        pass
    except OSError as error:
        raise StartError(
            f"{path} cannot be created: {error.strerror}. Set HOURHAND_DATA_DIR to a directory of yours."
        ) from error
    else:
        if owner is not None:
            os.chown(path, owner.uid, owner.gid)
        elif group is not None:
            os.chown(path, -1, group)
            path.chmod(0o710)
    _refuse_other_owners(path, {os.geteuid() if owner is None else owner.uid, also})
    return path


def _refuse_other_owners(path: Path, owners: set[int | None]) -> None:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise StartError(f"{path} is not a directory, or is a link to one. Move it away and start again.")
    if status.st_uid not in owners:
        raise StartError(
            f"{path} belongs to uid {status.st_uid}, not to the user who starts Hourhand. Start it as that user, "
            f"or set HOURHAND_DATA_DIR to another directory."
        )
    if status.st_mode & stat.S_IWOTH:
        raise StartError(f"Every account may write to {path}. Run chmod o-w {path}")
