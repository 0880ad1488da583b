"""Create and change secrets, stored encrypted. Nothing here returns a value."""

import datetime
import re

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.encryption import Cipher, EncryptionKeyError
from accounts.models import Environment, Secret, Workspace
from accounts.names import SECRET_NAME_PATTERN
from core.errors import ConflictError, HourhandError

#: A shorter value would match, and be redacted, all over the history; a longer one fits no header.
MIN_CHARACTERS = 4
MAX_CHARACTERS = 4096


class InvalidSecretError(HourhandError):
    code = "invalid"


class SecretExistsError(ConflictError):
    code = "secret_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"The secret {name} already exists here; change its value instead.", field="name")


class SecretsLockedError(ConflictError):
    """There is no working encryption key."""

    code = "no_encryption_key"


@transaction.atomic
def create_secret(
    *,
    workspace: Workspace,
    environment: Environment | None,
    name: str,
    value: str,
    actor: Actor,
    now: datetime.datetime,
) -> Secret:
    """Store a secret for a workspace, or for one of its environments.

    Raises InvalidSecretError, SecretExistsError, and SecretsLockedError without an encryption key.
    """
    if not re.fullmatch(SECRET_NAME_PATTERN, name):
        raise InvalidSecretError("Should be 1 to 64 of A-Z, 0-9 and _, starting with a letter.", field="name")
    if environment is not None and environment.workspace_id != workspace.pk:
        raise InvalidSecretError("There is no such environment.", field="environment")
    encrypted = _encrypted(value)
    try:
        with transaction.atomic():
            secret = Secret.objects.create(
                workspace=workspace,
                environment=environment,
                name=name,
                encrypted=encrypted,
                created_at=now,
                updated_at=now,
            )
    except IntegrityError as error:
        raise SecretExistsError(name) from error
    audit.record("secret.created", secret, actor=actor, now=now)
    return secret


@transaction.atomic
def change_secret(*, secret: Secret, value: str, actor: Actor, now: datetime.datetime) -> None:
    """Change a secret's value; requests use it within seconds.

    Raises InvalidSecretError and SecretsLockedError.
    """
    Secret.objects.filter(pk=secret.pk).update(encrypted=_encrypted(value), updated_at=now)
    secret.updated_at = now
    audit.record("secret.updated", secret, actor=actor, now=now)


def check_value(value: str) -> None:
    """Raises InvalidSecretError for a value too long to store, or too short to redact from history."""
    if len(value.strip()) < MIN_CHARACTERS:
        raise InvalidSecretError(
            f"Should have at least {MIN_CHARACTERS} characters without spaces around it.", field="value"
        )
    if len(value) > MAX_CHARACTERS:
        raise InvalidSecretError(f"Should have at most {MAX_CHARACTERS:,} characters.", field="value")


def _encrypted(value: str) -> bytes:
    check_value(value)
    try:
        return Cipher(settings.ENCRYPTION_KEYS).encrypt(value)
    except EncryptionKeyError as error:
        raise SecretsLockedError(str(error)) from error
