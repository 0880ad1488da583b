"""verify_webhook against the standard's own library."""

import base64
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from hourhand import WebhookVerificationError, verify_webhook

SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"b" * 32).decode()
AT = 1_772_366_400
BODY = '{"größe": 1}'


def signed(body: str = BODY, secret: str = SECRET, at: int = AT) -> dict[str, str]:
    """Headers as the standard's library signs them."""
    signature = Webhook(secret).sign("msg_1", datetime.datetime.fromtimestamp(at, tz=datetime.UTC), body)
    return {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(at), "Webhook-Signature": signature}


def test_what_the_standards_library_signs_is_verified():
    assert verify_webhook(BODY.encode(), signed(), SECRET, now=AT) == "msg_1"
    assert verify_webhook(BODY, signed(), SECRET, now=AT) == "msg_1"


@given(st.text(), st.binary(min_size=24, max_size=64))
def test_any_body_is_verified_as_sent(body: str, key: bytes):
    secret = "whsec_" + base64.b64encode(key).decode()
    try:
        raw = body.encode()
    except UnicodeEncodeError:
        return
    assert verify_webhook(raw, signed(body, secret), secret, now=AT) == "msg_1"


def test_either_secret_of_a_rotation_counts():
    assert verify_webhook(BODY, signed(secret=OTHER), [SECRET, OTHER], now=AT)
    both = {**signed(), "Webhook-Signature": f"{signed(secret=OTHER)['Webhook-Signature']} v1a,xyz"}
    assert verify_webhook(BODY, both, (OTHER,), now=AT)


@pytest.mark.parametrize(
    ("body", "changes", "secret", "reason"),
    [
        (BODY + " ", {}, SECRET, "No signature matches"),
        (BODY, {}, OTHER, "No signature matches"),
        (BODY, {"Webhook-Id": "msg_2"}, SECRET, "No signature matches"),
        (BODY, {"Webhook-Timestamp": str(AT + 1)}, SECRET, "No signature matches"),
        (BODY, {"Webhook-Signature": "v1,é"}, SECRET, "No signature matches"),
        (BODY, {"Webhook-Signature": ""}, SECRET, "no signature"),
        (BODY, {"Webhook-Timestamp": "²"}, SECRET, "not a number"),
        (BODY, {"Webhook-Timestamp": "-5"}, SECRET, "not a number"),
    ],
)
def test_anything_else_is_refused(body: str, changes: dict[str, str], secret: str, reason: str):
    with pytest.raises(WebhookVerificationError, match=reason):
        verify_webhook(body, {**signed(), **changes}, secret, now=AT)


@pytest.mark.parametrize(
    ("now", "accepted"), [(AT + 300, True), (AT + 301, False), (AT - 300, True), (AT - 301, False)]
)
def test_requests_are_at_most_five_minutes_old_or_ahead(now: int, accepted: bool):
    if accepted:
        assert verify_webhook(BODY, signed(), SECRET, now=now)
    else:
        with pytest.raises(WebhookVerificationError, match="301 s"):
            verify_webhook(BODY, signed(), SECRET, now=now)
    assert verify_webhook(BODY, signed(), SECRET, now=now, tolerance_seconds=400)


@pytest.mark.parametrize("secrets", ["", "whsec_", "whsec_?", []])
def test_a_secret_that_is_none_is_refused(secrets: str | list[str]):
    with pytest.raises(ValueError, match="secret"):
        verify_webhook(BODY, signed(), secrets, now=AT)
