"""Re-encrypt every stored value with the first of HOURHAND_ENCRYPTION_KEYS, so that the others can be removed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models, transaction

from accounts.encryption import Cipher, EncryptionKeyError
from accounts.models import InstallationSecret, Secret, SigningSecret

#: A column that holds encrypted text, or null.
EncryptedColumn = tuple[type[models.Model], str]
_ENCRYPTED: tuple[EncryptedColumn, ...] = (
    (Secret, "encrypted"),
    (SigningSecret, "value"),
    (InstallationSecret, "encrypted"),
)
_BATCH = 500
_MAX_TRIED = 5_000


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """How many values were tried, how many no key decrypts, and how many need an `older` key than the first."""

    count: int
    unreadable: int
    older: int


def check_keys(more: Sequence[EncryptedColumn] = ()) -> KeyCheck:
    """Try the keys on the newest stored values of each kind. Raises EncryptionKeyError for a malformed key.

    `more` are columns of packages above this one.
    """
    keys = settings.ENCRYPTION_KEYS
    first, every = Cipher(keys[:1]), Cipher(keys)
    counts: Counter[str] = Counter()
    for model, column in (*_ENCRYPTED, *more):
        values = _stored(model, column).order_by("-pk").values_list(column, flat=True)
        counts.update(_decrypted_by(bytes(value), first, every) for value in values[:_MAX_TRIED])
    return KeyCheck(counts.total(), counts["none"], counts["older"])


def _decrypted_by(value: bytes, first: Cipher, every: Cipher) -> str:
    for name, cipher in (("first", first), ("older", every)):
        try:
            cipher.decrypt(value)
        except EncryptionKeyError:
            continue
        return name
    return "none"


def rotate_all(more: Sequence[EncryptedColumn] = ()) -> int:
    """Re-encrypt every stored value with the first key, also those of `more` columns. Returns how many.

    Raises EncryptionKeyError for a value that no key decrypts; a second call goes over all of them again.
    """
    cipher = Cipher(settings.ENCRYPTION_KEYS)
    return sum(_rotate(model, column, cipher) for model, column in (*_ENCRYPTED, *more))


def _stored(model: Any, column: str) -> Any:
    """The rows that have a value. Some have other columns of tens of kilobytes, which are not read."""
    return model._default_manager.filter(**{f"{column}__isnull": False}).only(column)


def _rotate(model: Any, column: str, cipher: Cipher) -> int:
    """Re-encrypt in small transactions, by id, so that no worker waits long."""
    rotated, last = 0, None
    while True:
        with transaction.atomic():
            rows = _stored(model, column).select_for_update(no_key=True, of=("self",)).order_by("pk")
            batch = list((rows.filter(pk__gt=last) if last else rows)[:_BATCH])
            for row in batch:
                setattr(row, column, cipher.rotate(bytes(getattr(row, column))))
            model.objects.bulk_update(batch, [column])
        if not batch:
            return rotated
        rotated, last = rotated + len(batch), batch[-1].pk
