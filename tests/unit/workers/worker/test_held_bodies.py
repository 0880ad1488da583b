"""Memory of bodies: each counted once, per workspace."""

import pytest

from workers.worker import held_bodies
from workers.worker.held_bodies import HeldBodies


def test_a_body_that_many_requests_share_is_counted_once() -> None:
    held, shared = HeldBodies(), b"x" * 100
    for _ in range(3):
        held.add("acme", shared)
    held.add("acme", b"y" * 10)
    assert (held.total, held.of("acme"), held.of("other")) == (110, 110, 0)
    held.remove("acme", shared)
    held.remove("acme", shared)
    assert held.total == 110
    held.remove("acme", shared)
    assert held.total == 10


def test_a_missing_body_takes_no_memory() -> None:
    held = HeldBodies()
    held.add("acme", None)
    held.add("acme", b"")
    held.remove("acme", None)
    assert held.total == 0


@pytest.mark.parametrize(
    ("held", "more", "workspace", "room"),
    [
        ({"acme": 30}, 20, "acme", True),
        ({"acme": 30}, 21, "acme", False),
        ({"acme": 50}, 50, "other", True),
        ({"acme": 50, "third": 1}, 50, "other", False),
    ],
)
def test_one_workspace_takes_at_most_half(
    monkeypatch: pytest.MonkeyPatch, held: dict[str, int], more: int, workspace: str, room: bool
) -> None:
    monkeypatch.setattr(held_bodies, "MAX_BODIES_BYTES", 100)
    monkeypatch.setattr(held_bodies, "MAX_BODIES_BYTES_OF_WORKSPACE", 50)
    bodies, batch = HeldBodies(), HeldBodies()
    kept = [(name, b"x" * length) for name, length in held.items()]
    for name, body in kept:
        bodies.add(name, body)
    batch.add(workspace, b"z" * more)
    assert batch.leave_room(bodies, workspace) is room
