"""Secrets in history: found in any encoding in which an endpoint repeats them."""

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.attempts.contract import Received, Sent
from runs.attempts.redaction import _patterns, _redact_received, _without_cut_end, redact_sent

SECRET = 'tök/+ "n\\é&<1>\n2'


def shown(text: bytes, *secrets: str, truncated: bool = False) -> bytes:
    received = Received(200, {}, text, len(text), truncated, "1.1")
    return _redact_received(received, secrets, _patterns(secrets)).body


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(SECRET).replace("/", "\\/"),
        html.escape(SECRET),
        SECRET.upper(),
        SECRET.lower(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_no_encoding_of_a_secret_is_shown(spelled: str):
    made = shown(f"<<{spelled}>>".encode(), SECRET).decode().strip('<>"')
    assert made == "[redacted]"


@given(before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_a_secret_inside_a_longer_base64_text_is_found(before: bytes, after: bytes):
    secret = "a-long-enough-token"
    made = shown(base64.b64encode(before + secret.encode() + after), secret)
    assert b"[redacted]" in made


@given(secret=st.text(st.characters(codec="utf-8"), min_size=4, max_size=40).filter(lambda text: len(text.strip()) > 3))
def test_any_value_is_found_as_it_is(secret: str):
    assert shown(b"<" + secret.encode() + b">", secret) == b"<[redacted]>"
    assert shown(json.dumps(secret).encode(), secret) == b'"[redacted]"'
    assert shown(quote(secret, safe="").encode(), secret) == b"[redacted]"


def test_a_longer_secret_is_redacted_before_one_inside_it():
    assert shown(b"token-and-more", "token", "token-and-more") == b"[redacted]"


@pytest.mark.parametrize(
    ("header", "redacted"),
    [
        ("geheim-tök", "[redacted]"),
        ("ü geheim-tök ü", "ü [redacted] ü"),
        (b"\xfc geheim-t\xc3\xb6k".decode("latin-1"), "ü [redacted]"),  # not UTF-8 as a whole
        ("日 geheim-tök", "日 [redacted]"),
        ("größer", "größer"),
    ],
)
def test_a_header_is_redacted_in_utf_8_and_latin_1(header: str, redacted: str):
    received = Received(200, {"x-n": header}, b"", 0, False, "1.1")
    secrets = ("geheim-tök",)
    assert _redact_received(received, secrets, _patterns(secrets)).headers == {"x-n": redacted}


def test_a_truncated_body_shows_no_prefix_of_a_secret():
    assert shown(b"data: abcdefgh", "abcdefghijkl", truncated=True) == b"data: [redacted]"
    assert shown(b"data: abcdefgh", "abcdefghijkl") == b"data: abcdefgh"


SPELLINGS = {
    "as it is": lambda secret: secret,
    "percent": lambda secret: quote(secret, safe=""),
    "percent in lower case": lambda secret: quote(secret, safe="").lower(),
    "all percent": lambda secret: "".join(f"%{octet:02x}" for octet in secret.encode()),
    "form": quote_plus,
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON with slashes": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    "all JSON": lambda secret: "".join(f"\\u{ord(character):04X}" for character in secret),
    "HTML": html.escape,
    "all HTML": lambda secret: "".join(f"&#{ord(character)};" for character in secret),
    "hexadecimal HTML": lambda secret: "".join(f"&#x{ord(character):X};" for character in secret),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "base64 behind one": lambda secret: base64.b64encode(b"u" + secret.encode()).decode()[2:],
    "base64 behind two": lambda secret: base64.b64encode(b"u:" + secret.encode()).decode()[3:],
    "base64 in percent": lambda secret: quote(base64.b64encode(secret.encode()).decode(), safe=""),
}


@pytest.mark.parametrize(
    "secret", ['tök/+ "n\\é&<1>-long-enough', "s3cr3t/AAAA+token==", "plain-token-0123456789", "ééééééééé"]
)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_body_truncated_within_an_encoded_secret_shows_none_of_it(spelling: str, secret: str):
    spelled = SPELLINGS[spelling](secret).encode()
    first = len(SPELLINGS[spelling](secret[:4]).encode())  # shorter prefixes could be chance
    fewest = 8 if "base64" in spelling else first
    for end in range(max(fewest, first) + 2, len(spelled)):
        found = shown(b"data: " + spelled[:end], secret, truncated=True)
        assert found.startswith(b"data: [redacted]"), (spelled[:end], found)
        assert len(found) <= len(b"data: [redacted]") + 12


@given(st.binary(max_size=200), st.text(st.characters(codec="utf-8"), min_size=4, max_size=30))
def test_searching_any_body_for_a_truncated_secret_never_raises(body: bytes, secret: str):
    shown(body, secret, truncated=True)


@pytest.mark.parametrize("secret", ["a" * 4096, "ab" * 2048, "\\" * 4000])
@pytest.mark.parametrize("octets", [b"a", b"%61", b"\\u0061", b"&#97;", b"%", b"\\"])
def test_searching_for_a_truncated_secret_is_linear(secret: str, octets: bytes):
    started = time.monotonic()
    _without_cut_end((octets * 65_536)[:65_536], (secret,))
    assert time.monotonic() - started < 10


def test_a_request_is_shown_without_its_secrets():
    sent = Sent(
        "POST", "https://a.test/?t=a%2Fb-c-d", '{"user-agent": "a/b-c-d", "x-token": "[redacted]"}', b'"a\\/b-c-d"'
    )
    assert redact_sent(sent, ["a/b-c-d"]) == Sent(
        "POST", "https://a.test/?t=[redacted]", '{"user-agent": "[redacted]", "x-token": "[redacted]"}', b'"[redacted]"'
    )


@pytest.mark.parametrize("secret", ["\\" * 60 + "x", "%25" * 40, "a\\" * 40, "tok" * 1365])
def test_no_value_makes_redaction_slow(secret: str):
    shown(b"", secret)  # its patterns are compiled once
    started = time.monotonic()
    for text in ((secret[:-1] * 1000)[:65_536].encode(), b"\\" * 65_536):
        shown(text, secret)
    assert time.monotonic() - started < 5
