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
    return uuid.UUID(int=_value())


def uuid7_text() -> str:
    """The same as text, as Postgres takes it: for the firing path, which never computes with ids."""
    digits = f"{_value():032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_at(at: datetime.datetime) -> uuid.UUID:
    """The smallest UUIDv7 of this millisecond: those made before it are smaller. For instants from 1970 on."""
    return uuid.UUID(int=max(0, int(at.timestamp() * 1000)) << 80 | 0x7 << 76 | 0b10 << 62)


def _value() -> int:
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random.getrandbits(62)
