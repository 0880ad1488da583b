"""Encrypts everything that is kept encrypted with the first of HOURHAND_ENCRYPTION_KEYS, so that the others can go."""

from typing import Any

from django.conf import settings
from django.db import models, transaction

from accounts.encryption import Cipher
from accounts.models import Secret, SigningSecret

#: Every column that holds encrypted text.
_ENCRYPTED: tuple[tuple[type[models.Model], str], ...] = ((Secret, "encrypted"), (SigningSecret, "value"))
_AT_ONCE = 500


def rotate_all() -> int:
    """Encrypt every kept value with the first key; how many there are. Raises EncryptionKeyError; run it again then."""
    cipher = Cipher(settings.ENCRYPTION_KEYS)
    return sum(_rotate(model, column, cipher) for model, column in _ENCRYPTED)


def _rotate(model: Any, column: str, cipher: Cipher) -> int:
    """In small transactions by id, so that a worker never waits long."""
    rotated, last = 0, None
    while True:
        with transaction.atomic():
            rows = model.objects.select_for_update(no_key=True, of=("self",)).order_by("id")
            batch = list((rows.filter(pk__gt=last) if last else rows)[:_AT_ONCE])
            for row in batch:
                setattr(row, column, cipher.rotate(bytes(getattr(row, column))))
            model.objects.bulk_update(batch, [column])
        if not batch:
            return rotated
        rotated, last = rotated + len(batch), batch[-1].pk
