"""A tokenizer for schedules in words, with errors that say what was expected."""

import re
from collections.abc import Callable
from typing import TypeVar

from jobs.schedule.contract import ScheduleError

Item = TypeVar("Item")
_MAX_QUOTED = 40


class Tokens:
    """The words and commas of a text, in lower case."""

    def __init__(self, text: str) -> None:
        self._tokens = re.findall(r"[^\s,]+|,", text.lower())
        self._at = 0

    @property
    def next(self) -> str:
        """The next word, or empty."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    @property
    def after(self) -> str:
        """The word after the next, or empty."""
        return self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""

    def take(self) -> str:
        token = self.next
        self._at += 1
        return token

    def took(self, *words: str) -> bool:
        """Take the next word if it is one of these."""
        if self.next in words:
            self._at += 1
            return True
        return False

    def needs(self, word: str, example: str) -> None:
        if not self.took(word):
            raise self.unexpected(f'write it like "{example}"')

    def ended(self, example: str) -> None:
        """Raises ScheduleError if words are left."""
        if self.next:
            raise self.unexpected(f'a schedule like "{example}" ends before it')

    def listed(self, read: Callable[["Tokens"], Item]) -> list[Item]:
        """Read one or more items, as in "a, b and c"."""
        items = [read(self)]
        while self.next in {",", "and"}:
            if self.took(","):
                self.took("and")
            else:
                self.take()
            items.append(read(self))
        return items

    def unexpected(self, hint: str) -> ScheduleError:
        if not self.next:
            return ScheduleError(f"something is missing at the end; {hint}.")
        return ScheduleError(f"{quoted(self.next)} is not understood there; {hint}.")


def quoted(text: str) -> str:
    """Quote a text in an error message."""
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}...")
