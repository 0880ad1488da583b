"""Reading words one by one, with errors that say what was expected."""

import re
from collections.abc import Callable
from typing import TypeVar

from jobs.schedule.contract import ScheduleError

Item = TypeVar("Item")
_TOLD = 40


class Tokens:
    """The words and commas of a text, in lower case."""

    def __init__(self, text: str) -> None:
        self._tokens = re.findall(r"[^\s,]+|,", text.lower())
        self._at = 0

    @property
    def next(self) -> str:
        """The next word; empty at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    @property
    def after(self) -> str:
        """The word after the next; empty where there is none."""
        return self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""

    def take(self) -> str:
        token = self.next
        self._at += 1
        return token

    def took(self, *words: str) -> bool:
        """Step over the next word if it is one of these."""
        if self.next in words:
            self._at += 1
            return True
        return False

    def needs(self, word: str, example: str) -> None:
        if not self.took(word):
            raise self.unexpected(f'write it like "{example}"')

    def ended(self, example: str) -> None:
        """Raises ScheduleError if there is something left."""
        if self.next:
            raise self.unexpected(f'a schedule like "{example}" ends before it')

    def listed(self, read: Callable[["Tokens"], Item]) -> list[Item]:
        """One or more, as in: a, b and c."""
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
        return ScheduleError(f"{told(self.next)} is not understood there; {hint}.")


def told(text: str) -> str:
    """Somebody's text as an error message repeats it."""
    return repr(text if len(text) <= _TOLD else f"{text[:_TOLD]}...")
