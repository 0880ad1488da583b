"""Whether the encryption keys decrypt the stored secrets."""

from collections.abc import Iterator
from typing import Any

from accounts.encryption import EncryptionKeyError
from accounts.key_rotation import check_keys
from ops.doctor.findings import Finding, ok, problem, warning
from ops.encrypted import ENCRYPTED_COLUMNS


def kept_secrets(_cursor: Any) -> Iterator[Finding]:
    try:
        secrets = check_keys(ENCRYPTED_COLUMNS)
    except EncryptionKeyError as error:
        yield problem("kept_secrets", str(error), "Restore the key that was changed.")
        return
    if secrets.unreadable:
        yield problem(
            "kept_secrets",
            f"None of HOURHAND_ENCRYPTION_KEYS decrypts {secrets.unreadable:,} of {secrets.count:,} secrets and "
            "signing secrets: calls that use them fail or are not signed.",
            "Add the old key after the new one. If it is lost, set the secrets again and rotate the signing secrets.",
        )
    elif secrets.older:
        yield warning(
            "kept_secrets",
            f"{secrets.older:,} of {secrets.count:,} are encrypted with a key that is not the first.",
            "Run manage.py rotate_encryption_keys, then remove the old key.",
        )
    else:
        yield ok("kept_secrets", f"The first key decrypts all {secrets.count:,} secrets and signing secrets.")
