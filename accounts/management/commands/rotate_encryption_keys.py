"""`manage.py rotate_encryption_keys`: encrypt every secret with the first of HOURHAND_ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.encryption import EncryptionKeyError
from accounts.secrets import rotate_secrets


class Command(BaseCommand):
    help = "Encrypt every secret with the first of HOURHAND_ENCRYPTION_KEYS; afterwards the other keys can go."

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            count = rotate_secrets()
        except EncryptionKeyError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count} secrets are encrypted with the first key.")
