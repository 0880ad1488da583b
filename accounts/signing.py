"""Signing secrets: made, kept encrypted, shown once, and rotated with an overlap.

A secret is `whsec_` and base64, as the Standard Webhooks specification writes it.
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
    """A new random secret, as receivers take it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}"


class SigningSecretNotKeptError(ConflictError):
    """There is no key to encrypt a signing secret with, or a malformed one."""

    code = "encryption_key_missing"


@dataclass(frozen=True, slots=True)
class RotatedSecret:
    """A signing secret just made: `secret` is the only time it is readable. `previous` signs beside it for a while."""

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
    """Make a workspace's next signing secret, or its first; the newest until now signs on for `overlap_seconds`.

    One that was retiring already is gone at once. Raises SigningSecretNotKeptError.
    """
    try:
        rotated = _rotate(workspace, overlap_seconds, actor=actor, now=now)
    except EncryptionKeyError as error:
        raise SigningSecretNotKeptError(str(error)) from error
    log.info("signing_secret_rotated", workspace=workspace.slug, overlap_seconds=overlap_seconds)
    return rotated


@transaction.atomic
def _rotate(workspace: Workspace, overlap_seconds: int, *, actor: Actor, now: datetime.datetime) -> RotatedSecret:
    # Rotations of one workspace take turns; inserts that point to it don't wait.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    kept = SigningSecret.objects.filter(workspace=workspace)
    kept.filter(retires_at__isnull=False).delete()
    kept.retire_newest(now + datetime.timedelta(seconds=overlap_seconds))
    row, secret = make_signing_secret(workspace, now=now)
    audit.record(
        "signing_secret.rotated",
        row,
        actor=actor,
        now=now,
        changes=difference({}, {"overlap_seconds": overlap_seconds}),
    )
    return RotatedSecret(row, secret, kept.exclude(pk=row.pk).live(now).first())


def make_signing_secret(workspace: Workspace, *, now: datetime.datetime) -> tuple[SigningSecret, str]:
    """A new row and the secret that it keeps. Raises EncryptionKeyError."""
    secret = new_signing_secret()
    value = Cipher(settings.ENCRYPTION_KEYS).encrypt(secret)
    row = SigningSecret.objects.create(workspace=workspace, prefix=secret[:_PREFIX_LENGTH], value=value, created_at=now)
    return row, secret
