"""Memory for slow clients: incomplete bodies and unread responses."""

from typing import Protocol


class Abortable(Protocol):
    """A connection that can be closed at once."""

    def abort(self) -> None: ...


class BufferBudget:
    """Bytes by connection. Beyond a total of `max_bytes`, the connections with the most are closed."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._sizes: dict[Abortable, int] = {}
        self.total = 0

    def keep(self, holder: Abortable, size: int) -> None:
        """Set how many bytes a connection holds."""
        self.total += size - self._sizes.get(holder, 0)
        self._sizes[holder] = size
        while self.total > self._max_bytes and self._sizes:
            largest = max(self._sizes, key=self._sizes.__getitem__)  # the first of several
            self.drop(largest)
            largest.abort()

    def drop(self, holder: Abortable) -> None:
        self.total -= self._sizes.pop(holder, 0)
