"""What a web process holds for clients that are slow: bodies that are not complete, answers that are not read."""

from typing import Protocol


class Endable(Protocol):
    """A connection that can be ended at once."""

    def abort(self) -> None: ...


class Held:
    """Bytes by connection. Beyond `most` in all, those that hold the most are ended, not the many that hold little."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sizes: dict[Endable, int] = {}
        self.total = 0

    def keep(self, holder: Endable, size: int) -> None:
        """This connection holds so many bytes by now."""
        self.total += size - self._sizes.get(holder, 0)
        self._sizes[holder] = size
        while self.total > self._most and self._sizes:
            largest = max(self._sizes, key=self._sizes.__getitem__)  # the earliest of several
            self.drop(largest)
            largest.abort()

    def drop(self, holder: Endable) -> None:
        self.total -= self._sizes.pop(holder, 0)
