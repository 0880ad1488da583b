"""How long after its instant an occurrence starts, so that jobs of the same schedule don't all call at once. Pure."""

import datetime
import hashlib

MAX_JITTER_SECONDS = 3600


def jitter_ms(job_environment_id: str, occurrence: datetime.datetime, *, jitter_seconds: int) -> int:
    """Milliseconds from 0 to `jitter_seconds`, the same whenever and by whomever they are asked for."""
    if jitter_seconds == 0:
        return 0
    named = f"{job_environment_id} {occurrence.astimezone(datetime.UTC).isoformat()}"
    drawn = int.from_bytes(hashlib.blake2b(named.encode(), digest_size=8).digest())
    return drawn % (jitter_seconds * 1000 + 1)
