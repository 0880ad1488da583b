"""Tokens in URLs: derived again whenever they are shown, known without a table, good for one purpose only."""

import uuid

import pytest
from cryptography.fernet import Fernet

from accounts.encryption import EncryptionKeyError
from accounts.key_rotation import rotate_all
from accounts.models import InstallationSecret
from accounts.tokens import TOKEN_CHARACTERS, Purpose, subject_of, token_of

pytestmark = pytest.mark.django_db


def test_a_token_names_its_row_and_is_the_same_each_time() -> None:
    row_id = uuid.uuid4()
    token = token_of(Purpose.WEBHOOK, row_id, 7)
    assert len(token) == TOKEN_CHARACTERS
    assert subject_of(Purpose.WEBHOOK, token) == (row_id, 7)
    assert token_of(Purpose.WEBHOOK, row_id, 7) == token
    assert InstallationSecret.objects.count() == 1


def test_any_other_text_is_no_token() -> None:
    token = token_of(Purpose.WEBHOOK, uuid.uuid4(), 1)
    for position in range(TOKEN_CHARACTERS):
        other = "A" if token[position] != "A" else "B"
        assert subject_of(Purpose.WEBHOOK, token[:position] + other + token[position + 1 :]) is None
    for text in (
        "",
        token[:-1],
        f"{token}A",
        "\xe9" * TOKEN_CHARACTERS,
        "/" * TOKEN_CHARACTERS,
        "." * TOKEN_CHARACTERS,
    ):
        assert subject_of(Purpose.WEBHOOK, text) is None


def test_rotated_encryption_keys_change_no_token(settings: object) -> None:
    token = token_of(Purpose.WEBHOOK, row_id := uuid.uuid4(), 7)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]  # type: ignore[attr-defined]
    rotate_all()
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]  # type: ignore[attr-defined]
    assert subject_of(Purpose.WEBHOOK, token) == (row_id, 7)


def test_without_the_key_no_token_is_made(settings: object) -> None:
    token_of(Purpose.WEBHOOK, uuid.uuid4(), 1)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]  # type: ignore[attr-defined]
    with pytest.raises(EncryptionKeyError):
        token_of(Purpose.WEBHOOK, uuid.uuid4(), 1)
