"""Who sent a webhook: bodies signed by the senders' own libraries are accepted, and nothing else is."""

import base64
import datetime
import time

import pytest
import stripe
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook

from jobs.definition.webhook_signatures import TOLERANCE_SECONDS, Preset, SignatureProblem, SignedRequest, problem_of

BODY = b'{"id": 1, "text": "caf\xc3\xa9"}'
KEY = "correct horse battery staple"
STANDARD_KEY = f"whsec_{base64.b64encode(KEY.encode()).decode()}"
NOW = datetime.datetime.fromtimestamp(int(time.time()), datetime.UTC)


def standard(names: str = "webhook", at: datetime.datetime = NOW) -> dict[str, str]:
    signature = Webhook(STANDARD_KEY).sign("msg_1", at, BODY.decode())
    return {f"{names}-id": "msg_1", f"{names}-timestamp": str(int(at.timestamp())), f"{names}-signature": signature}


def by_stripe(at: datetime.datetime = NOW) -> dict[str, str]:
    seconds = int(at.timestamp())
    signature = stripe.WebhookSignature._compute_signature(f"{seconds}.{BODY.decode()}", KEY)
    return {"stripe-signature": f"t={seconds},v1={signature},v0=old"}


def by_slack(at: datetime.datetime = NOW) -> dict[str, str]:
    seconds = str(int(at.timestamp()))
    signature = SignatureVerifier(KEY).generate_signature(timestamp=seconds, body=BODY)
    return {"x-slack-request-timestamp": seconds, "x-slack-signature": str(signature)}


SIGNED = {
    Preset.STANDARD_WEBHOOKS: standard(),
    Preset.STRIPE: by_stripe(),
    Preset.SLACK: by_slack(),
    Preset.HEADER: {"x-token": KEY},
    Preset.BASIC: {"authorization": f"Basic {base64.b64encode(KEY.encode()).decode()}"},
}
TIMED = {Preset.STANDARD_WEBHOOKS: standard, Preset.STRIPE: by_stripe, Preset.SLACK: by_slack}


def judged(preset: Preset, headers: dict[str, str], body: bytes = BODY, *, secret: str | None = None) -> str | None:
    key = STANDARD_KEY if preset is Preset.STANDARD_WEBHOOKS else KEY
    request = SignedRequest(headers, body)
    return problem_of(preset, request, secret=secret or key, header="X-Token", now=NOW)


@pytest.mark.parametrize("preset", SIGNED)
def test_what_the_sender_signed_is_accepted(preset: Preset) -> None:
    assert judged(preset, SIGNED[preset]) is None


def test_svix_names_its_headers_otherwise() -> None:
    assert judged(Preset.STANDARD_WEBHOOKS, standard("svix")) is None


def test_github_signs_as_its_documentation_shows() -> None:
    """The example of "Validating webhook deliveries" in GitHub's documentation."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers, secret = {"x-hub-signature-256": signature}, "It's a Secret to Everybody"
    assert judged(Preset.GITHUB, headers, b"Hello, World!", secret=secret) is None
    assert judged(Preset.GITHUB, headers, b"Hello, World?", secret=secret) == SignatureProblem.BAD_SIGNATURE
    assert judged(Preset.GITHUB, {}, b"Hello, World!", secret=secret) == SignatureProblem.MISSING_SIGNATURE


@pytest.mark.parametrize("preset", TIMED)
def test_another_body_is_refused(preset: Preset) -> None:
    assert judged(preset, SIGNED[preset], BODY + b" ") == SignatureProblem.BAD_SIGNATURE


@pytest.mark.parametrize("preset", SIGNED)
def test_another_secret_is_refused(preset: Preset) -> None:
    other = f"whsec_{base64.b64encode(b'another').decode()}"
    assert judged(preset, SIGNED[preset], secret=other) == SignatureProblem.BAD_SIGNATURE


@pytest.mark.parametrize("preset", SIGNED)
def test_a_request_without_a_signature_is_refused(preset: Preset) -> None:
    assert judged(preset, {}) == SignatureProblem.MISSING_SIGNATURE


@pytest.mark.parametrize("preset", TIMED)
@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1])
def test_an_old_or_future_timestamp_is_refused_though_it_is_signed(preset: Preset, seconds: int) -> None:
    headers = TIMED[preset](at=NOW + datetime.timedelta(seconds=seconds))
    assert judged(preset, headers) == SignatureProblem.STALE_TIMESTAMP


@pytest.mark.parametrize("preset", TIMED)
def test_a_timestamp_changed_afterwards_is_a_bad_signature(preset: Preset) -> None:
    later = str(int(NOW.timestamp()) + 1)
    headers = {name: value.replace(str(int(NOW.timestamp())), later) for name, value in SIGNED[preset].items()}
    assert judged(preset, headers) == SignatureProblem.BAD_SIGNATURE


def test_a_sender_that_rotates_its_secret_signs_with_both() -> None:
    headers = standard()
    both = {**headers, "webhook-signature": f"v1,{base64.b64encode(b'x' * 32).decode()} {headers['webhook-signature']}"}
    assert judged(Preset.STANDARD_WEBHOOKS, both) is None


def test_a_secret_that_is_no_base64_can_t_verify() -> None:
    assert judged(Preset.STANDARD_WEBHOOKS, standard(), secret="!") == SignatureProblem.SECRET_UNUSABLE


def test_without_a_preset_the_url_is_the_only_secret() -> None:
    assert judged(Preset.NONE, {}) is None
