"""Jitter: a delay per occurrence, so that jobs with the same schedule don't all call at once. Pure."""

import datetime
import hashlib

MAX_JITTER_SECONDS = 3600


def jitter_ms(job_environment_id: str, occurrence: datetime.datetime, *, jitter_seconds: int) -> int:
    """Return milliseconds from 0 to `jitter_seconds`, always the same for one occurrence."""
    if jitter_seconds == 0:
        return 0
    key = f"{job_environment_id} {occurrence.astimezone(datetime.UTC).isoformat()}"
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    return number % (jitter_seconds * 1000 + 1)
