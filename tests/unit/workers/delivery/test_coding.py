"""Content codings: tolerant of servers' mistakes, with bounds on what is kept and read."""

import gzip
import random
import sys
import time
import zlib
from functools import partial

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.delivery.coding import MAX_GATHERED_BYTES, MAX_MEMBERS, BodyDecoder, DecodedBody, codings_in

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEEP, READ = 1000, 10_000


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": partial(brotli.compress, quality=1),
    "zstd": zstd.compress,
}


def decoded(header: str, body: bytes, *, step: int = 16_384, keep: int = KEEP, read: int = READ) -> DecodedBody:
    """Return the result for a body that arrives in chunks of `step` bytes."""
    decoder = BodyDecoder(codings_in(header), keep_bytes=keep, read_bytes=read)
    for at in range(0, len(body), step):
        if not decoder.feed(body[at : at + step]):
            break
    return decoder.result()


@pytest.mark.parametrize("step", [1, 2, 3, 7, 16_384])
@pytest.mark.parametrize("body", [b"", b"a", b"hello, wor\nld", bytes(range(256)) * 3])
@pytest.mark.parametrize("coding", CODERS)
def test_each_coding_is_decoded_in_any_chunks(coding: str, body: bytes, step: int):
    assert decoded(coding, CODERS[coding](body), step=step) == DecodedBody(body, len(body), ended=True)
    assert decoded(f" {coding.upper()} ", CODERS[coding](body), step=step).body == body


def test_raw_deflate_is_decoded():
    assert decoded("deflate", raw_deflate(b"hello" * 9)) == DecodedBody(b"hello" * 9, 45, ended=True)
    assert decoded("deflate", raw_deflate(b"hello" * 9), step=1).body == b"hello" * 9


@pytest.mark.parametrize("step", [1, 5, 16_384])
@pytest.mark.parametrize("count", [2, 3, 100])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "zstd"])
def test_all_gzip_members_are_decoded(coding: str, count: int, step: int):
    members = [f"member {number};".encode() for number in range(count)]
    whole = b"".join(members)
    came = b"".join(map(CODERS[coding], members))
    assert decoded(coding, came, step=step, keep=5000) == DecodedBody(whole, len(whole), ended=True)


def test_members_may_be_empty_and_padded():
    came = gzip.compress(b"") + bytes(7) + gzip.compress(b"a") + bytes(512) + gzip.compress(b"b") + bytes(3)
    for step in (1, 16_384):
        assert decoded("gzip", came, step=step) == DecodedBody(b"ab", 2, ended=True)


@pytest.mark.parametrize("step", [1, 16_384])
@pytest.mark.parametrize("after", [b"\r\n", b"\n", b"\0", b"\0" * 40, b"\r\n\r\n", b"\n" * 16])
@pytest.mark.parametrize("coding", CODERS)
def test_padding_after_the_end_is_no_part_of_the_body(coding: str, after: bytes, step: int):
    assert decoded(coding, CODERS[coding](b"busy") + after, step=step) == DecodedBody(b"busy", 4, ended=True)


@pytest.mark.parametrize("after", [b"garbage", b"\x1f", b"\x1f\x8c", b"<!-- served by 7 -->", b"x" * 50_000])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_anything_after_the_last_member_is_no_part_of_the_body(coding: str, after: bytes):
    found = decoded(coding, CODERS[coding](b"busy") + after)
    assert (found.body, found.body_bytes, found.fault) == (b"busy", 4, None)


@pytest.mark.parametrize(
    "header", ["gzip, gzip", "deflate, gzip", "gzip, br", "br, gzip, deflate", "zstd,gzip,br,gzip"]
)
def test_stacked_codings_are_decoded_from_the_last(header: str):
    came = b"layered" * 20
    for coding in codings_in(header):
        came = CODERS[coding](came)
    assert decoded(header, came) == DecodedBody(b"layered" * 20, 140, ended=True)
    assert decoded(header, came, step=1) == DecodedBody(b"layered" * 20, 140, ended=True)


def test_identity_is_no_coding():
    assert [codings_in(header) for header in ("", "identity", "Identity, ", ",,")] == [()] * 4
    assert codings_in("identity, GZIP ,identity") == ("gzip",)


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("utf-8", "does not know utf-8"),
        ("gzip, utf-8", "does not know utf-8"),
        ("compress", "does not know compress"),
        ("aws-chunked", "does not know aws-chunked"),
        ("x" * 5000, "does not know"),
        ("gzip" + ", gzip" * 4, "more than 4"),
        ("gzip," * 10_000, "more than 4"),
    ],
)
def test_an_unknown_coding_is_left_encoded(header: str, word: str):
    found = decoded(header, b"as it came")
    assert (found.body, found.body_bytes, found.ended) == (b"as it came", 10, True)
    assert found.fault is not None
    assert word in found.fault
    assert len(found.fault) < 200


TEXTS = [
    b'{"a":1}',
    b'{"ok":true,"rows":[1,2,3]}',
    b"ok",
    b"OK\r\n",
    b"a",
    b"hello world",
    b"<html><body>busy</body></html>",
    b"<?xml version='1.0'?><a/>",
    b"\n",
    b"x^2 + y^2",
    b"\x78\x01 text",
    "Grüße aus Köln".encode(),
    b"plain " * 30_000,
]


@pytest.mark.parametrize("step", [1, 16_384])
@pytest.mark.parametrize("body", TEXTS, ids=lambda body: str(body[:12]))
@pytest.mark.parametrize("coding", [*CODERS, "gzip, gzip", "br, gzip", "gzip, br"])
def test_a_body_without_its_declared_coding_is_left_unchanged(coding: str, body: bytes, step: int):
    if len(body) > 1000 and step == 1:
        return
    found = decoded(coding, body, step=step)
    assert found.body == body[:KEEP]
    assert found.body_bytes >= min(len(body), READ)
    assert found.fault is not None
    assert "could not be decoded" in found.fault


def test_latin_1_text_declared_as_gzip_is_left_unchanged():
    assert decoded("gzip", "Störung".encode("latin-1")).body == b"St\xf6rung"


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("coding", [*CODERS, "bare"])
def test_a_truncated_body_is_incomplete(coding: str, part: float):
    body = random.Random(7).randbytes(600)
    came = raw_deflate(body) if coding == "bare" else CODERS[coding](body)
    found = decoded("deflate" if coding == "bare" else coding, came[: int(len(came) * part)])
    assert not found.ended
    assert found.fault is None
    assert body.startswith(found.body)


def test_a_truncated_second_member_is_noticed():
    found = decoded("gzip", gzip.compress(b"first") + gzip.compress(b"second")[:12])
    assert b"firstsecond".startswith(found.body)
    assert (found.ended, found.fault) == (False, None)


@pytest.mark.parametrize("harm", [12, -5, -1])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_damaged_body_is_left_unchanged(coding: str, harm: int):
    came = bytearray(CODERS[coding](b"some text to damage"))
    came[harm] ^= 0xFF
    found = decoded(coding, bytes(came))
    assert found.fault is not None or not found.ended
    if found.fault is not None:
        assert found.body == bytes(came)


def test_an_empty_body_is_complete():
    for coding in (*CODERS, "gzip, gzip", "utf-8"):
        assert decoded(coding, b"")[:3] == (b"", 0, True)


@pytest.mark.parametrize(
    "header", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "gzip, br", "deflate, deflate, gzip"]
)
def test_a_decompression_bomb_is_cut_at_the_limit(header: str):
    came = bytes(30_000_000)
    for coding in codings_in(header):
        came = CODERS[coding](came)
    started = time.monotonic()
    found = decoded(header, came, keep=65_536, read=1_048_576)
    assert time.monotonic() - started < 2
    assert found.body == bytes(65_536)
    assert 1_048_576 < found.body_bytes <= 1_048_576 + 65_536
    assert (found.ended, found.fault) == (False, None)


def test_too_many_members_are_not_decoded():
    started = time.monotonic()
    found = decoded("gzip", gzip.compress(b"") * (MAX_MEMBERS + 1), read=10**6)
    assert time.monotonic() - started < 5
    assert "members" in (found.fault or "")


def test_poorly_compressed_input_is_read_up_to_a_limit():
    noise = random.Random(7).randbytes(3_000_000)
    for coding in ("gzip", "deflate"):
        decoder = BodyDecoder((coding,), keep_bytes=KEEP, read_bytes=1_048_576)
        came = CODERS[coding](noise)
        taken = sum(1 for at in range(0, len(came), 16_384) if decoder.feed(came[at : at + 16_384]))
        assert 60 <= taken <= 70
        assert decoder.result().body == noise[:KEEP]
    for coding in ("br", "zstd"):
        decoder = BodyDecoder((coding,), keep_bytes=KEEP, read_bytes=1_048_576)
        came = CODERS[coding](noise)
        taken = sum(1 for at in range(0, len(came), 16_384) if decoder.feed(came[at : at + 16_384]))
        assert taken <= MAX_GATHERED_BYTES // 16_384 + 1
        assert decoder.result()[:1] == (noise[:KEEP],)


@given(st.sampled_from([*CODERS, "gzip, br", "zstd, deflate", "utf-8"]), st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_raise(header: str, body: bytes, step: int):
    found = decoded(header, body, step=step)
    assert len(found.body) <= KEEP
    if found.fault is not None:
        assert found.body == body


@given(st.sampled_from(list(CODERS)), st.binary(max_size=2000), st.integers(1, 500))
def test_any_encoded_body_is_decoded_back(coding: str, body: bytes, step: int):
    found = decoded(coding, CODERS[coding](body), step=step)
    assert found == DecodedBody(body[:KEEP], len(body), ended=True)
