"""Whether a process has the settings that all beats and workers must share, and a release near theirs.

One row holds a fingerprint of each setting, and the release: the installation's. The first process writes it. One that
differs takes no work, since it would fail calls for good that the others could make. It compares again and again, and
goes on once it agrees.

A change rolls out by itself: processes with the new settings wait until none with the old is alive, and then write
theirs to the row; or an operator does, with `manage.py settings_changed`. Encryption keys that decrypt nothing of what
is stored are never written by themselves. Pure, but for the cursor.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runs.monitoring import heartbeats

#: What may differ, named for operators.
ENCRYPTION_KEYS, OUTBOUND, SECRET_KEY = (
    "HOURHAND_ENCRYPTION_KEYS", "HOURHAND_OUTBOUND_ALLOW and HOURHAND_OUTBOUND_PORTS", "SECRET_KEY",
)  # fmt: skip
RELEASE = "release"
_SALT_BYTES = 16
# Of scrypt: 16 MiB and about 50 ms for each guess.
_COST, _BLOCKS, _PARALLEL = 2**14, 8, 1
_SELECT = "SELECT salt, fingerprints::text, release FROM runs_agreement WHERE id = 1"
_INSERT = """
    INSERT INTO runs_agreement (id, salt, fingerprints, release, changed_at)
    VALUES (1, %s, %s::jsonb, %s, clock_timestamp()) ON CONFLICT (id) DO NOTHING
"""
_UPDATE = """
    UPDATE runs_agreement SET fingerprints = %s::jsonb, release = %s, changed_at = clock_timestamp()
     WHERE id = 1 AND fingerprints = %s::jsonb AND release = %s
"""
_ALIVE = """
    SELECT count(*) FROM runs_heartbeat
     WHERE id <> %s AND differs = '' AND seen_at > clock_timestamp() - %s * interval '1 second'
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """The settings that a process must share with all others, as text by name, and its release.

    `reads` tells whether its keys decrypt some of what is stored, or nothing is.
    """

    values: Mapping[str, str]
    release: str
    reads: Callable[[], bool]

    def __repr__(self) -> str:
        return f"Shared({', '.join(self.values)}, {self.release})"

    @classmethod
    def of(
        cls, *, keys: Sequence[str], outbound: str, secret_key: str, release: str, reads: Callable[[], bool]
    ) -> "Shared":
        """The order of the keys makes no difference."""
        values = {ENCRYPTION_KEYS: "\n".join(sorted(set(keys))), OUTBOUND: outbound}
        # Beats and workers need no secret key: one without it can't have a wrong one.
        return cls(values | ({SECRET_KEY: secret_key} if secret_key else {}), release, reads)


class SettingsAgreement:
    """One process's comparison. `allowed` says whether it may take work: not before the first comparison."""

    def __init__(self, shared: Shared, *, process_id: str = "") -> None:
        self._shared = shared
        self._process_id = process_id
        self._fingerprints: tuple[bytes, Mapping[str, str]] | None = None
        self.differs: tuple[str, ...] | None = None

    @property
    def allowed(self) -> bool:
        return self.differs == ()

    def ask(self, cursor: Any) -> tuple[str, ...]:
        """What differs from the installation's, by name. Empty: it agrees, or its own are now the installation's."""
        self.differs = differs = self._differing(cursor)
        return differs

    def compare(self, cursor: Any) -> tuple[str, ...] | None:
        """Only compare. None: no beat or worker has written the installation's yet."""
        stored = _stored(cursor)
        return None if stored is None else self._differences(stored)

    def declare(self, cursor: Any) -> tuple[str, ...]:
        """Make this process's settings and release the installation's. Returns what was different."""
        stored = self._stored_or_first(cursor)
        before = self._differences(stored)
        self._make_ours(cursor, stored)
        return before

    def _differing(self, cursor: Any) -> tuple[str, ...]:
        stored = self._stored_or_first(cursor)
        differences = self._differences(stored)
        if not differences:
            newer = _number(self._shared.release) > _number(stored.release)
            if newer or self._fingerprints_with(stored.salt).keys() - stored.fingerprints.keys():
                self._make_ours(cursor, stored)  # The next release, or the first with a secret key.
            return differences
        cursor.execute(_ALIVE, [self._process_id, heartbeats.ALIVE_SECONDS])
        alone = cursor.fetchone()[0] == 0
        if not alone or (ENCRYPTION_KEYS in differences and not self._shared.reads()):
            return differences
        return () if self._make_ours(cursor, stored) else differences

    def _stored_or_first(self, cursor: Any) -> "_Stored":
        stored = _stored(cursor)
        if stored is None:
            salt = secrets.token_bytes(_SALT_BYTES)
            cursor.execute(_INSERT, [salt, json.dumps(self._fingerprints_with(salt)), self._shared.release])
            stored = _stored(cursor)
        assert stored is not None
        return stored

    def _differences(self, stored: "_Stored") -> tuple[str, ...]:
        own = self._fingerprints_with(stored.salt)
        names = [name for name in own if own[name] != stored.fingerprints.get(name, own[name])]
        return (*names, *(() if near(self._shared.release, stored.release) else (RELEASE,)))

    def _make_ours(self, cursor: Any, stored: "_Stored") -> bool:
        """False if another process was faster: what it wrote is compared next time."""
        own = json.dumps({**stored.fingerprints, **self._fingerprints_with(stored.salt)})
        cursor.execute(_UPDATE, [own, self._shared.release, json.dumps(stored.fingerprints), stored.release])
        return bool(cursor.rowcount)

    def _fingerprints_with(self, salt: bytes) -> Mapping[str, str]:
        """The fingerprints of this process's settings. None reveals its value or equals another installation's."""
        if self._fingerprints is None or self._fingerprints[0] != salt:
            fingerprints = {name: _fingerprint(name, value, salt) for name, value in self._shared.values.items()}
            self._fingerprints = (salt, fingerprints)
        return self._fingerprints[1]


@dataclass(frozen=True, slots=True)
class _Stored:
    salt: bytes
    fingerprints: dict[str, str]
    release: str


def _stored(cursor: Any) -> _Stored | None:
    cursor.execute(_SELECT)
    row = cursor.fetchone()
    return None if row is None else _Stored(bytes(row[0]), json.loads(row[1]), row[2])


def _fingerprint(name: str, value: str, salt: bytes) -> str:
    text = f"{name}\0{value}".encode()
    return hashlib.scrypt(text, salt=salt, n=_COST, r=_BLOCKS, p=_PARALLEL, dklen=32).hex()


def near(one: str, other: str) -> bool:
    """Whether two releases may work side by side: no more than one minor release apart."""
    (major, minor, _), (other_major, other_minor, _) = _number(one), _number(other)
    return major == other_major and abs(minor - other_minor) <= 1


def _number(release: str) -> tuple[int, int, int]:
    """A release as numbers. A part that is not a number counts as 0."""
    parts = [int(part) if part.isdigit() else 0 for part in release.split(".")[:3]]
    major, minor, patch = (*parts, 0, 0, 0)[:3]
    return major, minor, patch
