"""What is kept encrypted, and whether the keys that are set read it."""

from collections.abc import Iterator
from typing import Any

from accounts.encryption import EncryptionKeyError
from accounts.key_rotation import read_all
from ops.doctor.findings import Finding, ok, problem, warning


def kept_secrets(_cursor: Any) -> Iterator[Finding]:
    try:
        found = read_all()
    except EncryptionKeyError as error:
        yield problem("kept_secrets", str(error), "Put the key right that was changed.")
        return
    if found.unreadable:
        yield problem(
            "kept_secrets",
            f"None of HOURHAND_ENCRYPTION_KEYS reads {found.unreadable:,} of {found.count:,} secrets and signing "
            "secrets: calls that use them fail, or go out unsigned.",
            "Put the old key back, behind the new one. Without it set the secrets and rotate the signing secrets anew.",
        )
    elif found.older:
        yield warning(
            "kept_secrets",
            f"{found.older:,} of {found.count:,} are encrypted with a key that is not the first.",
            "Run manage.py rotate_encryption_keys, then leave the old key out.",
        )
    else:
        told = f"{found.count:,} of {found.count:,} secrets and signing secrets"
        yield ok("kept_secrets", f"The first key reads {told}.")
