"""How often somebody may try to log in: to one account, from one address, or in a browser that got in before.

Tries are counted before the password is looked at, so that many at once count each, and whether the account exists or
not, so that a refusal tells nothing. A window that is full ends by itself: tries during it do not prolong it.

A browser that has logged in holds a signed cookie and is counted by that alone, so that whoever guesses at an account
locks out other guessers and not the person it belongs to. Source: OWASP, Slow Down Online Guessing Attacks with Device
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
class Counted:
    """One count that a try adds to: whose, and the most in a window."""

    subject: str
    most: int


@dataclass(frozen=True, slots=True)
class Login:
    """A try to log in. `browser` is the random name in the cookie of one that got into this account before."""

    username: str
    address: str
    browser: str | None

    def begin(self, now: datetime.datetime) -> int:
        """Count this try. Returns 0 when the password may be looked at, else for how many seconds it may not."""
        for counted in self._counts():
            count, since = _add(counted.subject, now)
            if count > counted.most:
                return max(1, math.ceil((since + WINDOW - now).total_seconds()))
        return 0

    def succeeded(self) -> None:
        """Take this try back, and forget the earlier ones for this account; others from the address stand."""
        for counted in self._counts():
            tries = LoginTries.objects.filter(subject=counted.subject)
            if counted.most == MAX_TRIES_PER_ADDRESS:
                tries.filter(count__gt=0).update(count=F("count") - 1)
            else:
                tries.delete()

    def _counts(self) -> list[Counted]:
        account = account_digest(self.username)
        if self.browser is not None:
            return [Counted(_digest(f"browser:{self.browser}:{account}"), MAX_TRIES_PER_BROWSER)]
        return [
            Counted(_digest(f"address:{self.address}"), MAX_TRIES_PER_ADDRESS),
            Counted(_digest(f"account:{account}"), MAX_TRIES_PER_ACCOUNT),
        ]


def account_digest(username: str) -> str:
    """What an account is counted under, however its name is written."""
    return _digest(unicodedata.normalize("NFKC", username).casefold().strip())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _add(subject: str, now: datetime.datetime) -> tuple[int, datetime.datetime]:
    """One more try in the present window, or the first of a new one; in one statement, so that none is lost."""
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
    """Forget windows that are over. Returns how many there were."""
    return LoginTries.objects.filter(since__lte=now - WINDOW).delete()[0]
