"""Captured output: what is kept, what is counted, and the pieces of the live view."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourhand.agent.output import (
    HEAD_BYTES,
    LIVE_BYTES_PER_SECOND,
    PIECE_JSON_BYTES,
    TAIL_BYTES,
    LiveFeed,
    StreamCapture,
)

CHUNKS = st.lists(st.binary(max_size=300) | st.text(max_size=100).map(str.encode), max_size=60)


def captured_from(*chunks: bytes) -> StreamCapture:
    capture = StreamCapture()
    for chunk in chunks:
        capture.write(chunk)
    capture.close()
    return capture


@given(CHUNKS)
def test_short_output_is_kept_whole_however_it_is_cut(chunks: list[bytes]):
    whole = b"".join(chunks)
    kept = captured_from(*chunks).captured()
    assert kept.text == whole.decode(errors="replace")
    assert (kept.total_bytes, kept.truncated) == (len(whole), False)


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
@pytest.mark.parametrize("shift", range(4))
def test_long_output_keeps_whole_characters_of_its_start_and_end(character: str, shift: int):
    text = "x" * shift + character * 100_000
    encoded = text.encode()
    kept = captured_from(*(encoded[at : at + 1001] for at in range(0, len(encoded), 1001))).captured()
    assert text.startswith(kept.head)
    assert text.endswith(kept.tail)
    assert HEAD_BYTES - 3 <= len(kept.head.encode()) <= HEAD_BYTES
    assert TAIL_BYTES - 3 <= len(kept.tail.encode()) <= TAIL_BYTES
    assert kept.tail_offset == len(encoded) - len(kept.tail.encode())
    assert (kept.total_bytes, kept.truncated) == (len(encoded), True)
    missing = kept.tail_offset - len(kept.head.encode())
    assert kept.text == f"{kept.head}\n[... {missing:,} bytes left out ...]\n{kept.tail}"


def test_output_of_exactly_what_is_kept_is_not_truncated():
    text = "a" * HEAD_BYTES + "b" * TAIL_BYTES
    assert captured_from(text.encode()).captured().text == text
    assert captured_from(text.encode() + b"c").captured().truncated


def test_an_unfinished_character_waits_for_its_rest():
    capture = StreamCapture()
    capture.write("ä".encode()[:1])
    assert capture.piece(0) is None
    capture.write("ä".encode()[1:])
    assert capture.piece(0).text == "ä"
    capture.write(b"\xf0\x9f")
    capture.close()
    assert capture.captured().text == "ä\ufffd"


def test_memory_is_bounded():
    capture = StreamCapture()
    chunk = "é".encode() * 32 * 1024
    tracemalloc.start()
    for _ in range(1000):
        capture.write(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 1024 * 1024


@given(CHUNKS, st.lists(st.booleans(), max_size=60))
def test_pieces_join_to_the_whole_though_some_are_sent_twice(chunks: list[bytes], lost: list[bool]):
    """`lost`: the server's confirmation of that piece does not arrive, so that the next one repeats it."""
    capture, now, received = StreamCapture(), 0.0, b""
    feed = LiveFeed(capture, now=now)
    fates = iter(lost)

    def exchange() -> bool:
        nonlocal received
        piece = feed.next(now=now)
        if piece is None:
            return False
        assert piece.offset <= len(received)
        received = received[: piece.offset] + piece.text.encode()
        assert piece.end == len(received)
        if not next(fates, False):
            feed.confirm(piece.end)
        return True

    for chunk in chunks:
        capture.write(chunk)
        now += 10
        exchange()
    capture.close()
    now += 10
    while exchange():
        now += 10
    assert received.decode() == b"".join(chunks).decode(errors="replace")


@pytest.mark.parametrize("text", ["a", "\0", "😀", "\\", '"'])
def test_a_piece_fits_into_a_heartbeat_whatever_its_characters(text: str):
    capture = captured_from((text * TAIL_BYTES).encode())
    for offset in (0, 5000, 10**9):
        piece = capture.piece(offset)
        assert piece is None or len(json.dumps(piece.text)) <= PIECE_JSON_BYTES
    assert 2 * PIECE_JSON_BYTES < 63 * 1024


def test_a_fast_command_is_followed_at_a_limited_rate_with_gaps():
    capture = StreamCapture()
    feed = LiveFeed(capture, now=0.0)
    sent, seconds, end = 0, 100, 0
    for now in range(1, seconds + 1):
        capture.write(b"y\n" * 500_000)
        piece = feed.next(now=float(now))
        assert piece.offset >= end
        end = piece.end
        sent += len(piece.text)
        feed.confirm(end)
    assert sent <= PIECE_JSON_BYTES + seconds * LIVE_BYTES_PER_SECOND
    assert sent > seconds * LIVE_BYTES_PER_SECOND / 2
    # What was skipped is neither sent later nor lost at the end.
    assert end > 50_000_000


def test_what_the_server_did_not_confirm_is_repeated_without_being_counted_again():
    capture = captured_from(b"z" * HEAD_BYTES)
    feed = LiveFeed(capture, now=0.0)
    first = feed.next(now=0.0)
    for _ in range(10):
        assert feed.next(now=0.0) == first
    feed.confirm(first.end)
    assert feed.next(now=0.0) is None


def test_a_confirmation_of_more_than_was_sent_skips_nothing():
    capture = captured_from(b"abc")
    feed = LiveFeed(capture, now=0.0)
    feed.confirm(1000)
    assert feed.next(now=0.0).text == "abc"


def test_no_repr_shows_output():
    capture = captured_from(b"hunter2")
    assert "hunter2" not in repr((capture.captured(), capture.piece(0), capture))
