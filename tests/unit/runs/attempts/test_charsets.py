"""Decoding an answer's body in its declared charset."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.definition.assertions import compile_assertions, failed_assertion
from runs.attempts.charsets import _CODECS, Reading, reading_of

TEXT = "Störung"


def read(content_type: str | None, body: bytes, *, truncated: bool = False) -> Reading:
    """Decode it; plain ASCII stays as it is."""
    headers = {} if content_type is None else {"content-type": content_type}
    return reading_of(headers, body, truncated=truncated) or Reading(body)


def holds(kind: str, value: str, content_type: str | None, body: bytes) -> tuple[bool, str]:
    """Return whether an assertion about the text of such an answer holds, and why not."""
    reading = read(content_type, body)
    problem = failed_assertion(
        compile_assertions([{"type": kind, "value": value}]),
        status=200,
        headers={},
        body=reading.body,
        body_truncated=False,
        total_ms=1,
        unreadable=reading.unreadable,
        opaque=reading.opaque,
    )
    return problem is None, problem or ""


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        ("text/html; charset=iso-8859-1", "latin-1"),
        ('text/html; charset="ISO-8859-1"', "latin-1"),
        ("text/html;charset='iso-8859-1'", "latin-1"),
        ("text/html ; CHARSET = latin1 ; boundary=x", "latin-1"),
        ("text/plain; format=flowed; charset=windows-1252", "cp1252"),
        ("text/plain; charset=us-ascii", "latin-1"),
        ("text/plain; charset=iso-8859-15", "iso8859-15"),
        ("text/plain; charset=utf-8", "utf-8"),
        ("text/plain; charset=UTF8", "utf-8"),
        ("text/plain; charset=utf8mb4", "utf-8"),
        ("text/plain", "utf-8"),
        (None, "utf-8"),
        ("text/plain; charset=utf-16", "utf-16"),
        ("text/plain; charset=utf-16", "utf-16-le"),
        ("text/plain; charset=utf-16le", "utf-16-le"),
        ("text/plain; charset=utf-16be", "utf-16-be"),
        ("text/plain; charset=utf-32", "utf-32"),
        ("text/plain", "utf-16"),
        ("text/plain", "utf-8-sig"),
        ("text/html; charset=iso-8859-1", "utf-8-sig"),  # the bytes override the header
        ("text/html; charset=koi8-r", None),
        ("text/plain, text/plain; charset=latin1", "latin-1"),
        ("application/json", "utf-8"),
        ("application/json; charset=iso-8859-1", "utf-8"),  # JSON is UTF-8 (RFC 8259)
        ("application/json; charset=iso-8859-1", "latin-1"),
        ("application/problem+json", "utf-8-sig"),
        ("application/json", "utf-16"),
        ("application/json", "utf-16-le"),
        ("application/json", "utf-32-be"),
        ("application/vnd.x+json; charset=utf-16le", "utf-16-le"),
    ],
)
def test_a_declared_charset_is_read(content_type: str | None, codec: str | None):
    text = f'{{"state": "{TEXT}"}}' if codec else "Сбой"
    reading = read(content_type, text.encode(codec or "koi8-r"))
    assert reading == Reading(text.encode())


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("iso-8859-2", "Porucha: łąść"),
        ("windows-1251", "Ошибка"),
        ("gbk", "故障"),
        ("gb2312", "故障"),
        ("big5", "故障"),
        ("shift_jis", "障害"),
        ("euc-jp", "障害"),
        ("iso-2022-jp", "障害"),
        ("euc-kr", "장애"),
        ("windows-1253", "βλάβη"),
        ("tis-620", "ขัดข้อง"),
        ("macintosh", "Störung"),
    ],
)
def test_common_charsets_are_decoded(label: str, text: str):
    codec = {"iso-2022-jp": "iso2022_jp", "macintosh": "mac-roman"}.get(label, label)
    body = text.encode(codec)
    assert read(f"text/html; charset={label}", body).body.decode() == text
    assert holds("body_contains", text, f"text/html; charset={label}", body) == (True, "")
    assert not holds("body_not_contains", text, f"text/html; charset={label}", body)[0]


def test_iso_8859_1_is_windows_1252_as_in_browsers_and_every_octet_reads():
    body = bytes(range(1, 256))
    assert "€" in read("text/html; charset=iso-8859-1", body).body.decode()
    assert read("text/html; charset=windows-1252", body).unreadable is None


@pytest.mark.parametrize(
    "page",
    [
        b'<html><head><meta charset="iso-8859-1"></head>',
        b"<!doctype html><META  charset=latin1 >",
        b'<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1">',
        b'<?xml version="1.0" encoding="iso-8859-1"?>',
    ],
)
def test_a_page_may_declare_its_charset_itself(page: bytes):
    found = read("text/html", page + TEXT.encode("latin-1"))
    assert found.body.decode().endswith(TEXT)
    assert read("text/plain", page + TEXT.encode("latin-1")).unreadable  # which is a thing of markup


LATIN = TEXT.encode("latin-1")
UNREADABLE = [
    ("text/html", LATIN),
    (None, LATIN),
    ("text/html; charset=utf-8", LATIN),
    ("text/html; charset=nonsense", LATIN),
    ("text/html; charset=hex", LATIN),
    ("text/html; charset=unicode_escape", b"St\\xf6rung"),
    ("text/html; charset=utf-7", b"St+APY-rung"),
    ("text/html; charset=zip", b"plain"),
    ("text/html; charset=idna", b"xn--strung-9ya"),
    ("text/html; charset=rot13", b"Fg\xf6ehat"),
    ("text/html; charset=x-user-defined", b"plain"),
    ("text/html; charset=euc-kr", b"\xff\xff"),
    ("text/html; charset=windows-1253", b"\xd2"),
    ("text/html; charset=utf-16", b"\x00\xd8\x00\xd8"),
    ("text/html; charset=iso-8859-1", b"\x89PNG\x00\x00\xf6"),
    ("application/json", b'{"a": "St\xf6rung"}'),
    ("text/html", b'<meta charset="hex">' + LATIN),
    ("image/png", b"\x89PNG\r\n\x1a\n\x00"),
]


@pytest.mark.parametrize(("content_type", "body"), UNREADABLE)
@pytest.mark.parametrize("kind", ["body_contains", "body_not_contains", "body_matches"])
def test_a_text_beyond_ascii_is_undecided_in_an_unreadable_body(kind: str, content_type: str | None, body: bytes):
    held, why = holds(kind, TEXT, content_type, body)
    assert not held
    assert "can't be" in why
    assert read(content_type, body).body == body


@pytest.mark.parametrize(("content_type", "body"), UNREADABLE)
def test_ascii_is_found_in_an_unreadable_body_unless_its_charset_hides_it(content_type: str | None, body: bytes):
    if content_type == "text/html; charset=utf-16":
        assert not holds("body_not_contains", "error", content_type, body)[0]
        assert not holds("body_contains", "St", content_type, body)[0]
    else:
        assert holds("body_not_contains", "error", content_type, body)[0]
        assert holds("body_contains", "St", content_type, body)[0] == (b"St" in body)


def test_a_charset_that_is_declared_and_cant_be_used_is_noted():
    for content_type, body in UNREADABLE:
        note = read(content_type, body).note
        declared = content_type is not None and ("charset" in content_type or "json" in content_type)
        assert bool(note) == (declared and not body.isascii())
        assert note is None or len(note) < 250


def test_utf_8_under_an_unknown_label_is_still_utf_8():
    assert holds("body_contains", TEXT, "text/html; charset=nonsense", TEXT.encode()) == (True, "")


@pytest.mark.parametrize("label", ["utf-8", "utf-16le", "utf-32be", "gbk", "shift_jis", "euc-kr"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_body_truncated_within_a_character_is_still_text(label: str, cut: int):
    text = {"gbk": "故障", "shift_jis": "障害", "euc-kr": "장애"}.get(label, "😀😀")
    body = (text * 3).encode(label)
    found = read(f"text/plain; charset={label}", body[:-cut], truncated=True)
    assert found.unreadable is None
    if label != "utf-8":  # whose truncated end is left out when stored
        assert (text * 3).startswith(found.body.decode())


def test_no_label_selects_a_codec_that_is_not_a_charset():
    for label, codec in _CODECS.items():
        assert label == label.lower()
        assert isinstance(b"a\0\0\0".decode(codec, "replace"), str)
        assert codec not in {"hex", "zip", "rot13", "idna", "punycode", "unicode_escape", "utf-7"}


def test_plain_ascii_is_not_decoded():
    for content_type in ("application/json", "text/html; charset=utf-8", "text/html; charset=latin1", "", "text/css"):
        assert reading_of({"content-type": content_type}, b'{"ok": true}', truncated=False) is None


@given(st.text(max_size=60), st.binary(max_size=200), st.booleans())
def test_no_answer_raises(content_type: str, body: bytes, truncated: bool):
    read(content_type, body, truncated=truncated)


@given(st.sampled_from(sorted(_CODECS)), st.binary(max_size=200), st.booleans())
def test_no_bytes_under_any_label_raise(label: str, body: bytes, truncated: bool):
    found = read(f"text/html; charset={label}", body, truncated=truncated)
    assert found.body == body or found.body.decode() is not None


@pytest.mark.parametrize("label", sorted(set(_CODECS.values())))
def test_no_charset_takes_long(label: str):
    name = next(name for name, codec in _CODECS.items() if codec == label)
    started = time.monotonic()
    for body in (b"\xf6" * 65_536, b"\x81\x30" * 32_768, b"\x1b$B" * 21_845, b"a\xff" * 32_768):
        read(f"text/html; charset={name}", body)
    read("text/html" + "; charset" * 9000, b"\xf6" * 65_536)
    read("text/html", b"<meta " * 10_000 + b"\xf6")
    assert time.monotonic() - started < 5
