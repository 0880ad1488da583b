"""The encrypted columns of packages that accounts does not know."""

from accounts.key_rotation import EncryptedColumn
from runs.models import StepState

ENCRYPTED_COLUMNS: tuple[EncryptedColumn, ...] = ((StepState, "private"),)
