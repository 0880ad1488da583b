"""Signatures of the Standard Webhooks specification, against its published vector and its own library."""

import base64
import datetime
import secrets

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from accounts.signing import new_signing_secret
from workers.delivery.signing import FRESH_SECONDS, Signature, SigningKey, key_of, message_id_of, signature_headers

# The vector of the specification's reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = 1_780_000_000


def signed(*secrets_: str, body: bytes | None = BODY, timestamp: int = NOW) -> dict[str, str]:
    keys = [key_of(secret) for secret in secrets_]
    return dict(signature_headers(keys, message_id=MESSAGE_ID, timestamp=timestamp, body=body))


def test_the_published_vector() -> None:
    assert signed(SECRET, timestamp=TIMESTAMP) == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP),
        "webhook-signature": SIGNATURE,
    }


@given(body=st.text().map(str.encode), key=st.binary(min_size=24, max_size=64))
def test_the_public_verifier_accepts_every_body(body: bytes, key: bytes) -> None:
    secret = f"whsec_{base64.b64encode(key).decode()}"
    verifier = Webhook(secret)
    headers = signed(secret, body=body)
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    assert verifier.sign(MESSAGE_ID, at, body.decode()) == headers["webhook-signature"]


@time_machine.travel(NOW, tick=False)
def test_the_public_verifier_refuses_a_changed_body_and_another_secret() -> None:
    headers = signed(SECRET)
    assert Webhook(SECRET).verify(BODY, headers) == {"test": 2432232314}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_signing_secret()).verify(BODY, headers)


@time_machine.travel(NOW, tick=False)
def test_two_keys_give_two_signatures_newest_first_and_each_verifies() -> None:
    newest, retiring = new_signing_secret(), new_signing_secret()
    headers = signed(newest, retiring)
    both = headers["webhook-signature"].split(" ")
    assert both == [signed(secret)["webhook-signature"] for secret in (newest, retiring)]
    for secret in (newest, retiring):
        assert Webhook(secret).verify(BODY, headers)


def test_a_missing_body_is_signed_as_empty_and_a_binary_one_unchanged() -> None:
    assert signed(SECRET, body=None) == signed(SECRET, body=b"")
    assert signed(SECRET, body=b"\xff\x00") != signed(SECRET, body=b"\xff")


def test_without_a_key_there_are_no_headers() -> None:
    assert signed() == {}


def test_the_id_is_the_executions_and_holds_no_dot() -> None:
    assert message_id_of("0197a1b2") == "msg_0197a1b2"
    assert "." not in message_id_of("0197a1b2-03d4-7e5f-8a6b-7c8d9e0f1a2b")


def test_new_secrets_differ_and_hold_32_bytes() -> None:
    made = {new_signing_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in made} == {32}


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_not base64 at all!",
        base64.b64encode(secrets.token_bytes(32)).decode(),
        f"whsec_{base64.b64encode(secrets.token_bytes(23)).decode()}",
        f"whsec_{base64.b64encode(secrets.token_bytes(65)).decode()}",
    ],
    ids=["empty", "no key", "no base64", "no prefix", "too short", "too long"],
)
def test_a_malformed_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes") as refused:
        key_of(secret)
    assert len(secret) < 10 or secret not in str(refused.value)


def test_a_waiting_request_is_signed_again_with_the_valid_keys() -> None:
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    newest, retiring = new_signing_secret(), new_signing_secret()
    keys = (SigningKey(key_of(newest), None), SigningKey(key_of(retiring), at + datetime.timedelta(seconds=60)))
    made = Signature.create(keys, message_id=MESSAGE_ID, body=BODY, at=at, monotonic=1000.0)
    assert dict(made.headers) == signed(newest, retiring)
    assert made.renewed(BODY, monotonic=1000.0 + FRESH_SECONDS - 0.1) is made
    later = made.renewed(BODY, monotonic=1045.9)
    assert dict(later.headers) == signed(newest, retiring, timestamp=NOW + 45)
    assert dict(later.renewed(BODY, monotonic=1300.0).headers) == signed(newest, timestamp=NOW + 300)
    assert later.renewed(BODY, monotonic=1050.0) is later
    assert newest not in repr(later)
    assert dict(later.headers)["webhook-signature"] not in repr(later)
