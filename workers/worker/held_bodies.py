"""How much memory the bodies of the requests take that a worker holds."""

from collections import Counter

#: Of bodies in a worker's memory: those to send, and those of answers to record. Beyond, it claims nothing.
MAX_BODIES_BYTES = 48 * 1024 * 1024
#: Of bodies to send of one workspace, so that its slow calls with large bodies leave room for the others'.
MAX_BODIES_BYTES_OF_WORKSPACE = MAX_BODIES_BYTES // 2


class HeldBodies:
    """Bodies to send, each counted once however many requests share it. Its owner keeps threads apart."""

    def __init__(self) -> None:
        self._users: Counter[int] = Counter()
        self._by_workspace: Counter[str] = Counter()
        self.total = 0

    def of(self, workspace_id: str) -> int:
        """Bytes that the bodies of this workspace take."""
        return self._by_workspace[workspace_id]

    def add(self, workspace_id: str, *bodies: bytes | None) -> None:
        """Count what one attempt holds. Whoever adds it keeps it alive until it is removed."""
        for body in bodies:
            if body:
                self._users[id(body)] += 1
                if self._users[id(body)] == 1:
                    self._count(workspace_id, len(body))

    def remove(self, workspace_id: str, *bodies: bytes | None) -> None:
        """Take back what `add` counted."""
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
        """Whether these and the others' stay within the limits, the workspace's among them."""
        return (
            self.total + other.total <= MAX_BODIES_BYTES
            and self.of(workspace_id) + other.of(workspace_id) <= MAX_BODIES_BYTES_OF_WORKSPACE
        )
