"""Use cases of secrets: kept encrypted, changed, re-encrypted. Nothing here answers with a value."""

import datetime
import re

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.encryption import Cipher, EncryptionKeyError
from accounts.models import Environment, Secret, Workspace
from accounts.names import SECRET_NAME_FORM
from core.errors import ConflictError, HourhandError

#: Shorter values would be found, and redacted, all over the history; longer ones fit no header.
MIN_CHARACTERS = 4
MAX_CHARACTERS = 4096


class InvalidSecretError(HourhandError):
    code = "invalid"


class SecretExistsError(ConflictError):
    code = "secret_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a secret {name} in this place already; change its value.", field="name")


class SecretsLockedError(ConflictError):
    """No key to encrypt with, or none that works."""

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
    """Keep a secret for a workspace, or for one of its environments only.

    Raises InvalidSecretError, SecretExistsError, and SecretsLockedError where there is no encryption key.
    """
    if not re.fullmatch(SECRET_NAME_FORM, name):
        raise InvalidSecretError("Should be 1 to 64 of A-Z, 0-9 and _, beginning with a letter.", field="name")
    if environment is not None and environment.workspace_id != workspace.pk:
        raise InvalidSecretError("There is no such environment.", field="environment")
    encrypted = _encrypted(value)
    try:
        with transaction.atomic():
            made = Secret.objects.create(
                workspace=workspace,
                environment=environment,
                name=name,
                encrypted=encrypted,
                created_at=now,
                updated_at=now,
            )
    except IntegrityError as error:
        raise SecretExistsError(name) from error
    audit.record("secret.created", made, actor=actor, now=now)
    return made


@transaction.atomic
def change_secret(*, secret: Secret, value: str, actor: Actor, now: datetime.datetime) -> None:
    """Give a secret another value; requests use it within seconds. Raises as `create_secret` does."""
    Secret.objects.filter(pk=secret.pk).update(encrypted=_encrypted(value), updated_at=now)
    secret.updated_at = now
    audit.record("secret.updated", secret, actor=actor, now=now)


def check_value(value: str) -> None:
    """Raises InvalidSecretError for a value that can't be kept, or not be told from other text in the history."""
    if len(value.strip()) < MIN_CHARACTERS:
        raise InvalidSecretError(f"Should have at least {MIN_CHARACTERS} characters besides blanks.", field="value")
    if len(value) > MAX_CHARACTERS:
        raise InvalidSecretError(f"Should have at most {MAX_CHARACTERS:,} characters.", field="value")


def _encrypted(value: str) -> bytes:
    check_value(value)
    try:
        return Cipher(settings.ENCRYPTION_KEYS).encrypt(value)
    except EncryptionKeyError as error:
        raise SecretsLockedError(str(error)) from error
