"""Time-ordered public ids: UUID version 7, so that ids sort by creation and new index entries land on one page."""

import datetime
import random
import time
import uuid


def uuid7() -> uuid.UUID:
    """A UUIDv7 of this instant: 48 bits of milliseconds, 12 bits of the millisecond's fraction, 62 random bits.

    The random bits make ids unique, not secret: Python seeds them from the system, and anew in each forked process.
    Source: RFC 9562, section 5.7, and section 6.2, method 3: increased clock precision in the leftmost random bits.
    """
    return uuid.UUID(int=_value(time.time_ns()))


def uuid7_text() -> str:
    """The same as text, as Postgres takes it: for the firing path, which never computes with ids."""
    return _text(_value(time.time_ns()))


def uuid7_text_at(instant: datetime.datetime) -> str:
    """An id of that instant as text: for what began when another clock said so."""
    return _text(_value(int(instant.timestamp() * 1_000_000) * 1000))


def first_uuid7_at(instant: datetime.datetime) -> uuid.UUID:
    """What no id of that instant or a later one comes before, and every earlier one does, to the millisecond."""
    return uuid.UUID(int=max(0, int(instant.timestamp() * 1000)) << 80)


def _text(value: int) -> str:
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _value(nanoseconds: int) -> int:
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random.getrandbits(62)
