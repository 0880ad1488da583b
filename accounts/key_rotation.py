"""Encrypts everything that is kept encrypted with the first of HOURHAND_ENCRYPTION_KEYS, so that the others can go."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models, transaction

from accounts.encryption import Cipher, EncryptionKeyError
from accounts.models import InstallationSecret, Secret, SigningSecret

#: Every column that holds encrypted text.
_ENCRYPTED: tuple[tuple[type[models.Model], str], ...] = (
    (Secret, "encrypted"),
    (SigningSecret, "value"),
    (InstallationSecret, "encrypted"),
)
_AT_ONCE = 500
_MOST_READ = 5_000


@dataclass(frozen=True, slots=True)
class Kept:
    """How many values were looked at, how many no key reads, and how many only another key than the first does."""

    count: int
    unreadable: int
    older: int


def read_all() -> Kept:
    """Try the keys on what is kept, the newest of each kind if there is very much. Raises EncryptionKeyError for a
    malformed key.
    """
    keys = settings.ENCRYPTION_KEYS
    first, every = Cipher(keys[:1]), Cipher(keys)
    found: Counter[str] = Counter()
    for model, column in _ENCRYPTED:
        values = model._default_manager.order_by("-pk").values_list(column, flat=True)
        found.update(_read_by(bytes(value), first, every) for value in values[:_MOST_READ])
    return Kept(found.total(), found["none"], found["older"])


def _read_by(value: bytes, first: Cipher, every: Cipher) -> str:
    for name, cipher in (("first", first), ("older", every)):
        try:
            cipher.decrypt(value)
        except EncryptionKeyError:
            continue
        return name
    return "none"


def rotate_all() -> int:
    """Encrypt every kept value with the first key; how many there are. Raises EncryptionKeyError; run it again then."""
    cipher = Cipher(settings.ENCRYPTION_KEYS)
    return sum(_rotate(model, column, cipher) for model, column in _ENCRYPTED)


def _rotate(model: Any, column: str, cipher: Cipher) -> int:
    """In small transactions by id, so that a worker never waits long."""
    rotated, last = 0, None
    while True:
        with transaction.atomic():
            rows = model.objects.select_for_update(no_key=True, of=("self",)).order_by("pk")
            batch = list((rows.filter(pk__gt=last) if last else rows)[:_AT_ONCE])
            for row in batch:
                setattr(row, column, cipher.rotate(bytes(getattr(row, column))))
            model.objects.bulk_update(batch, [column])
        if not batch:
            return rotated
        rotated, last = rotated + len(batch), batch[-1].pk
