"""Signing secrets: shown once, stored encrypted, and rotated with an overlap.

A secret is `whsec_` and base64, in the format of the Standard Webhooks specification.
"""

import base64
import datetime
import secrets
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.encryption import Cipher, EncryptionKeyError
from accounts.models import SigningSecret, Workspace
from core.differences import difference
from core.errors import ConflictError

DEFAULT_OVERLAP_SECONDS = 24 * 60 * 60
MAX_OVERLAP_SECONDS = 30 * 24 * 60 * 60
_KEY_BYTES = 32  # as many as SHA-256 gives; the specification asks for 24 to 64
_PREFIX_LENGTH = 12  # "whsec_" and six characters: enough to tell secrets apart, useless to an attacker

log = structlog.get_logger(__name__)


def new_signing_secret() -> str:
    """Return a new random secret."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}"


class SigningSecretEncryptionError(ConflictError):
    """The encryption key is missing or malformed."""

    code = "encryption_key_missing"


@dataclass(frozen=True, slots=True)
class RotatedSecret:
    """A new signing secret, readable here only. `previous` signs beside it until it retires."""

    row: SigningSecret
    secret: str
    previous: SigningSecret | None


def rotate_signing_secret(
    *,
    workspace: Workspace,
    overlap_seconds: int = DEFAULT_OVERLAP_SECONDS,
    actor: Actor,
    now: datetime.datetime,
) -> RotatedSecret:
    """Create a workspace's next signing secret; the previous one signs beside it for `overlap_seconds`.

    One that was retiring already is deleted at once. Raises SigningSecretEncryptionError.
    """
    try:
        rotated = _rotate(workspace, overlap_seconds, actor=actor, now=now)
    except EncryptionKeyError as error:
        raise SigningSecretEncryptionError(str(error)) from error
    log.info("signing_secret_rotated", workspace=workspace.slug, overlap_seconds=overlap_seconds)
    return rotated


@transaction.atomic
def _rotate(workspace: Workspace, overlap_seconds: int, *, actor: Actor, now: datetime.datetime) -> RotatedSecret:
    # Serializes rotations of one workspace; `no_key` leaves inserts that reference it alone.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    signing_secrets = SigningSecret.objects.filter(workspace=workspace)
    signing_secrets.filter(retires_at__isnull=False).delete()
    signing_secrets.retire_newest(now + datetime.timedelta(seconds=overlap_seconds))
    row, secret = make_signing_secret(workspace, now=now)
    audit.record(
        "signing_secret.rotated",
        row,
        actor=actor,
        now=now,
        changes=difference({}, {"overlap_seconds": overlap_seconds}),
    )
    return RotatedSecret(row, secret, signing_secrets.exclude(pk=row.pk).live(now).first())


def make_signing_secret(workspace: Workspace, *, now: datetime.datetime) -> tuple[SigningSecret, str]:
    """Create a row, and return it with its secret. Raises EncryptionKeyError."""
    secret = new_signing_secret()
    value = Cipher(settings.ENCRYPTION_KEYS).encrypt(secret)
    row = SigningSecret.objects.create(workspace=workspace, prefix=secret[:_PREFIX_LENGTH], value=value, created_at=now)
    return row, secret
