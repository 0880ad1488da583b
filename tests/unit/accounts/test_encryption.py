"""Encryption at rest: key rotation, and errors for a missing or wrong key."""

import pytest

from accounts.encryption import Cipher, EncryptionKeyError, new_encryption_key

OLD, NEW = new_encryption_key(), new_encryption_key()


def test_an_encrypted_value_is_unreadable_and_decrypts_to_itself():
    token = Cipher([OLD]).encrypt("pässword")
    assert "pässword".encode() not in token
    assert Cipher([OLD]).decrypt(token) == "pässword"


def test_a_new_first_key_reads_the_old_values_and_writes_its_own():
    token = Cipher([OLD]).encrypt("value")
    rotated = Cipher([NEW, OLD]).rotate(token)
    assert Cipher([NEW]).decrypt(rotated) == "value"
    with pytest.raises(EncryptionKeyError, match="HOURHAND_ENCRYPTION_KEYS"):
        Cipher([NEW]).decrypt(token)


def test_without_a_key_nothing_is_encrypted():
    with pytest.raises(EncryptionKeyError, match="set it"):
        Cipher([]).encrypt("value")


def test_a_malformed_key_is_refused_at_once():
    with pytest.raises(EncryptionKeyError, match="32 bytes"):
        Cipher(["short"])
