"""Bodies of responses without their content coding."""

import gzip
import zlib

import pytest

from hourhand.agent.bodies import KEPT_BYTES, READ_BYTES, decoded

TEXT = b"hello " * 1000


def raw_deflate(text: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(text) + stream.flush()


@pytest.mark.parametrize(
    ("raw", "coding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT), "GZIP "),
        (gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]), "gzip"),
        (gzip.compress(TEXT) + b"\r\n", "x-gzip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
    ],
    # Not the bytes themselves: gzip's hold the time, and each process of a parallel run has another.
    ids=["plain", "identity", "gzip", "two members", "padded", "zlib", "raw deflate"],
)
def test_a_body_is_decoded(raw: bytes, coding: str):
    body = decoded(raw, coding, complete=True)
    assert (body.kept, body.read_bytes, body.complete, body.note) == (TEXT, len(TEXT), True, None)


@pytest.mark.parametrize(
    ("raw", "coding", "said"),
    [
        (b"plain", "gzip", "is not in the coding"),
        (b"\x1b", "br", "which is not decoded"),
        (b"x", "gzip, br", "'gzip, br'"),
    ],
)
def test_what_can_not_be_decoded_is_left_as_received(raw: bytes, coding: str, said: str):
    body = decoded(raw, coding, complete=True)
    assert (body.kept, body.complete) == (raw, True)
    assert said in body.note


def test_a_coded_body_that_breaks_off_is_decoded_as_far_as_it_came():
    body = decoded(gzip.compress(TEXT)[:-8], "gzip", complete=True)
    assert TEXT.startswith(body.kept)
    assert not body.complete


def test_a_bomb_is_cut():
    body = decoded(gzip.compress(b"\0" * 50 * READ_BYTES), "gzip", complete=True)
    assert len(body.kept) == KEPT_BYTES
    assert READ_BYTES < body.read_bytes <= READ_BYTES + KEPT_BYTES
    assert not body.complete


def test_of_a_long_body_the_first_part_is_kept():
    body = decoded(b"x" * 100_000, "", complete=True)
    assert (len(body.kept), body.read_bytes, body.complete) == (KEPT_BYTES, 100_000, True)
