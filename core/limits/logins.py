"""Limits on login attempts: for an account, for an address, and for a browser that has logged in before.

Attempts are counted before the password is checked, so that concurrent ones all count, and whether or not the account
exists, so that a refusal reveals nothing. Attempts during a full window do not prolong it.

A browser that has logged in holds a signed cookie and is counted by that alone, so that an attacker who guesses at an
account locks out other attackers and not its owner. Source: OWASP, Slow Down Online Guessing Attacks with Device
Cookies.
"""

import datetime
import hashlib
import math
import unicodedata
from dataclasses import dataclass

from django.db import connection
from django.db.models import F

from core.models import LoginTries

WINDOW = datetime.timedelta(minutes=15)
MAX_TRIES_PER_ACCOUNT = 10
MAX_TRIES_PER_BROWSER = 10
MAX_TRIES_PER_ADDRESS = 50
_COUNT_CEILING = 1_000_000


@dataclass(frozen=True, slots=True)
class LoginCount:
    """A subject that an attempt counts for, and the most attempts in a window."""

    subject: str
    limit: int


@dataclass(frozen=True, slots=True)
class Login:
    """A login attempt. `browser` is the random name in the cookie of a browser that has logged in to this account."""

    username: str
    address: str
    browser: str | None

    def begin(self, now: datetime.datetime) -> int:
        """Count this attempt. Returns 0 if the password may be checked, else after how many seconds it may."""
        for login_count in self._counts():
            count, since = _add(login_count.subject, now)
            if count > login_count.limit:
                return max(1, math.ceil((since + WINDOW - now).total_seconds()))
        return 0

    def succeeded(self) -> None:
        """Uncount this attempt, and forget the earlier ones of the account; others of the address still count."""
        for login_count in self._counts():
            tries = LoginTries.objects.filter(subject=login_count.subject)
            if login_count.limit == MAX_TRIES_PER_ADDRESS:
                tries.filter(count__gt=0).update(count=F("count") - 1)
            else:
                tries.delete()

    def _counts(self) -> list[LoginCount]:
        account = account_digest(self.username)
        if self.browser is not None:
            return [LoginCount(_digest(f"browser:{self.browser}:{account}"), MAX_TRIES_PER_BROWSER)]
        return [
            LoginCount(_digest(f"address:{self.address}"), MAX_TRIES_PER_ADDRESS),
            LoginCount(_digest(f"account:{account}"), MAX_TRIES_PER_ACCOUNT),
        ]


def account_digest(username: str) -> str:
    """The subject of an account, the same for every spelling of its name."""
    return _digest(unicodedata.normalize("NFKC", username).casefold().strip())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _add(subject: str, now: datetime.datetime) -> tuple[int, datetime.datetime]:
    """Count an attempt in the present window or a new one. A single statement, so that concurrent ones all count."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO scheduler_project_logintries AS kept (subject, count, since) VALUES (%(subject)s, 1, %(now)s)
            ON CONFLICT (subject) DO UPDATE SET
              count = CASE WHEN kept.since <= %(over)s THEN 1 ELSE least(kept.count + 1, %(ceiling)s) END,
              since = CASE WHEN kept.since <= %(over)s THEN excluded.since ELSE kept.since END
            RETURNING count, since
            """,
            {"subject": subject, "now": now, "over": now - WINDOW, "ceiling": _COUNT_CEILING},
        )
        count, since = cursor.fetchone()
    return count, since


def prune_login_tries(now: datetime.datetime) -> int:
    """Delete windows that have ended. Returns how many."""
    return LoginTries.objects.filter(since__lte=now - WINDOW).delete()[0]
