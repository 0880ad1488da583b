"""Whether a process has the settings that all beats and workers of the house must share, and a release near theirs.

One row holds a fingerprint of each, and the house's release. The first process writes it. One that differs takes no
work: it would fail calls for good that the others make. It asks again and again, and goes on once it agrees.

A change rolls through by itself: processes with the new settings wait until none with the old is alive, and then make
theirs the house's; or an operator says which are right, `manage.py settings_changed`. Keys that read nothing of what
is kept never become the house's by themselves. Pure, but for the cursor.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runs.monitoring import heartbeats

#: What differs, by the names that an operator knows.
ENCRYPTION_KEYS, OUTBOUND, SECRET_KEY = (
    "HOURHAND_ENCRYPTION_KEYS", "HOURHAND_OUTBOUND_ALLOW and HOURHAND_OUTBOUND_PORTS", "SECRET_KEY",
)  # fmt: skip
RELEASE = "release"
_SALT_BYTES = 16
# 16 MiB and some 50 ms for each guess.
_COST, _BLOCKS, _PARALLEL = 2**14, 8, 1
_KNOWN = "SELECT salt, fingerprints::text, release FROM runs_agreement WHERE id = 1"
_FIRST = """
    INSERT INTO runs_agreement (id, salt, fingerprints, release, changed_at)
    VALUES (1, %s, %s::jsonb, %s, clock_timestamp()) ON CONFLICT (id) DO NOTHING
"""
_CHANGE = """
    UPDATE runs_agreement SET fingerprints = %s::jsonb, release = %s, changed_at = clock_timestamp()
     WHERE id = 1 AND fingerprints = %s::jsonb AND release = %s
"""
_AGREEING = """
    SELECT count(*) FROM runs_heartbeat
     WHERE id <> %s AND differs = '' AND seen_at > clock_timestamp() - %s * interval '1 second'
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """What a process must share with all others: the text that each setting comes to, by name, and its release.

    `reads` says whether its keys read some of what is kept; nothing kept, they do.
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
        """Keys in another order read the same, so their order makes no difference."""
        values = {ENCRYPTION_KEYS: "\n".join(sorted(set(keys))), OUTBOUND: outbound}
        # Beats and workers do without a secret key: one that has none can't have a wrong one.
        return cls(values | ({SECRET_KEY: secret_key} if secret_key else {}), release, reads)


class SettingsAgreement:
    """One process's part of it. `allowed` says whether it may take work: not before it has asked."""

    def __init__(self, shared: Shared, *, process_id: str = "") -> None:
        self._shared = shared
        self._process_id = process_id
        self._fingerprints: tuple[bytes, Mapping[str, str]] | None = None
        self.differs: tuple[str, ...] | None = None

    @property
    def allowed(self) -> bool:
        return self.differs == ()

    def ask(self, cursor: Any) -> tuple[str, ...]:
        """What differs from the house's, by name; nothing: it agrees, or has just made its own the house's."""
        self.differs = differs = self._differing(cursor)
        return differs

    def compare(self, cursor: Any) -> tuple[str, ...] | None:
        """The same for one who only looks; None: no beat or worker has said yet what is the house's."""
        known = _known(cursor)
        return None if known is None else self._differences(known)

    def declare(self, cursor: Any) -> tuple[str, ...]:
        """Make this process's settings and release the house's, whoever else is alive. Returns what was different."""
        known = self._known_or_first(cursor)
        before = self._differences(known)
        self._make_ours(cursor, known)
        return before

    def _differing(self, cursor: Any) -> tuple[str, ...]:
        known = self._known_or_first(cursor)
        found = self._differences(known)
        if not found:
            further = _number(self._shared.release) > _number(known.release)
            if further or self._made_with(known.salt).keys() - known.fingerprints.keys():
                self._make_ours(cursor, known)  # One release further, or the first to have a secret key.
            return found
        cursor.execute(_AGREEING, [self._process_id, heartbeats.ALIVE_SECONDS])
        alone = cursor.fetchone()[0] == 0
        if not alone or (ENCRYPTION_KEYS in found and not self._shared.reads()):
            return found
        return () if self._make_ours(cursor, known) else found

    def _known_or_first(self, cursor: Any) -> "_Known":
        known = _known(cursor)
        if known is None:
            salt = secrets.token_bytes(_SALT_BYTES)
            cursor.execute(_FIRST, [salt, json.dumps(self._made_with(salt)), self._shared.release])
            known = _known(cursor)
        assert known is not None
        return known

    def _differences(self, known: "_Known") -> tuple[str, ...]:
        own = self._made_with(known.salt)
        found = [name for name in own if own[name] != known.fingerprints.get(name, own[name])]
        return (*found, *(() if near(self._shared.release, known.release) else (RELEASE,)))

    def _make_ours(self, cursor: Any, known: "_Known") -> bool:
        """False where another was faster: what it wrote is compared the next time."""
        own = json.dumps({**known.fingerprints, **self._made_with(known.salt)})
        cursor.execute(_CHANGE, [own, self._shared.release, json.dumps(known.fingerprints), known.release])
        return bool(cursor.rowcount)

    def _made_with(self, salt: bytes) -> Mapping[str, str]:
        """The fingerprints of this process's settings. No fingerprint tells its value, or is another house's."""
        if self._fingerprints is None or self._fingerprints[0] != salt:
            made = {name: _fingerprint(name, value, salt) for name, value in self._shared.values.items()}
            self._fingerprints = (salt, made)
        return self._fingerprints[1]


@dataclass(frozen=True, slots=True)
class _Known:
    salt: bytes
    fingerprints: dict[str, str]
    release: str


def _known(cursor: Any) -> _Known | None:
    cursor.execute(_KNOWN)
    row = cursor.fetchone()
    return None if row is None else _Known(bytes(row[0]), json.loads(row[1]), row[2])


def _fingerprint(name: str, value: str, salt: bytes) -> str:
    given = f"{name}\0{value}".encode()
    return hashlib.scrypt(given, salt=salt, n=_COST, r=_BLOCKS, p=_PARALLEL, dklen=32).hex()


def near(one: str, other: str) -> bool:
    """Whether two releases may work side by side: no more than one minor release apart."""
    (major, minor, _), (other_major, other_minor, _) = _number(one), _number(other)
    return major == other_major and abs(minor - other_minor) <= 1


def _number(release: str) -> tuple[int, int, int]:
    """A release as numbers; what is no number in it counts as 0."""
    parts = [int(part) if part.isdigit() else 0 for part in release.split(".")[:3]]
    major, minor, patch = (*parts, 0, 0, 0)[:3]
    return major, minor, patch
