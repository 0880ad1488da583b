"""`manage.py rotate_encryption_keys`: encrypt every secret with the first of HOURHAND_ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.encryption import EncryptionKeyError
from accounts.key_rotation import rotate_all
from ops.encrypted import ENCRYPTED_COLUMNS


class Command(BaseCommand):
    help = "Encrypt every secret with the first of HOURHAND_ENCRYPTION_KEYS. Then you can remove the other keys."

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            count = rotate_all(ENCRYPTED_COLUMNS)
        except EncryptionKeyError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Encrypted {count} secrets with the first key.")
