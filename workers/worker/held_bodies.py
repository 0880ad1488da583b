"""Counts the memory that the bodies of a worker's requests take."""

from collections import Counter

#: The most memory for bodies to send and of responses to record. Beyond it a worker claims nothing.
MAX_BODIES_BYTES = 48 * 1024 * 1024
#: The most for one workspace's bodies to send, so that its slow calls with large bodies leave room for others.
MAX_BODIES_BYTES_OF_WORKSPACE = MAX_BODIES_BYTES // 2


class HeldBodies:
    """Bodies to send, each counted once however many requests share it. Not thread-safe."""

    def __init__(self) -> None:
        self._users: Counter[int] = Counter()
        self._by_workspace: Counter[str] = Counter()
        self.total = 0

    def of(self, workspace_id: str) -> int:
        """The bytes of this workspace's bodies."""
        return self._by_workspace[workspace_id]

    def add(self, workspace_id: str, *bodies: bytes | None) -> None:
        """Count the bodies of an attempt. The caller keeps them alive until `remove`."""
        for body in bodies:
            if body:
                self._users[id(body)] += 1
                if self._users[id(body)] == 1:
                    self._count(workspace_id, len(body))

    def remove(self, workspace_id: str, *bodies: bytes | None) -> None:
        """Undo `add`."""
        for body in bodies:
            if body:
                self._users[id(body)] -= 1
                if not self._users[id(body)]:
                    del self._users[id(body)]
                    self._count(workspace_id, -len(body))

    def _count(self, workspace_id: str, length: int) -> None:
        self.total += length
        self._by_workspace[workspace_id] += length
        if not self._by_workspace[workspace_id]:
            del self._by_workspace[workspace_id]

    def leave_room(self, other: "HeldBodies", workspace_id: str) -> bool:
        """Whether both together stay within the limits, the workspace's included."""
        return (
            self.total + other.total <= MAX_BODIES_BYTES
            and self.of(workspace_id) + other.of(workspace_id) <= MAX_BODIES_BYTES_OF_WORKSPACE
        )
