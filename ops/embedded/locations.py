"""Paths of the embedded services' data and sockets, computed from the data directory. Pure.

So a second terminal (`manage.py shell`, `celery inspect`) finds the running services.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, one of them a NUL.
_LONGEST_SOCKET_PATH = 103
_POSTGRES_SOCKET = ".s.PGSQL.5432"
# Not tempfile.gettempdir(): TMPDIR may differ between terminals, which must find the same sockets.
_SHORT_ROOT = Path("/tmp")  # noqa: S108 - ownership and mode are checked before use

DATABASE_NAME = "hourhand"
DATABASE_USER = "hourhand"


@dataclass(frozen=True)
class Locations:
    """The paths of one data directory. `root` is absolute."""

    root: Path

    @classmethod
    def of(cls, data_dir: str | os.PathLike[str]) -> "Locations":
        return cls(Path(os.path.realpath(data_dir)))

    @property
    def cluster(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def run(self) -> Path:
        """Files that are valid only while Hourhand runs: lock, URL, sockets."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def sockets(self) -> Path:
        """The directory of both sockets: `run/sockets`, or one under /tmp if that path is too long to bind."""
        near = self.run / "sockets"
        if len(os.fsencode(near / _POSTGRES_SOCKET)) <= _LONGEST_SOCKET_PATH:
            return near
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return _SHORT_ROOT / f"hourhand-{os.getuid()}-{digest}" / "sockets"

    @property
    def postgres_socket(self) -> Path:
        return self.sockets / _POSTGRES_SOCKET

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"


def embedded_urls(data_dir: str | os.PathLike[str]) -> tuple[str, str]:
    """The DATABASE_URL and REDIS_URL of a data directory's embedded services."""
    locations = Locations.of(data_dir)
    database_url = f"postgresql://{DATABASE_USER}@/{DATABASE_NAME}?host={quote(str(locations.sockets), safe='')}"
    return database_url, f"unix://{quote(str(locations.valkey_socket))}?db=0"
