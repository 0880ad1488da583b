"""Who did something: a person, an API key, or Hourhand itself."""

from dataclasses import dataclass
from typing import Any

from django.db import models


class ActorKind(models.TextChoices):
    USER = "user"
    KEY = "key"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """`label` is how people know it, and outlives it. `user` is the person's account; None for keys and Hourhand."""

    kind: ActorKind
    id: str
    label: str
    user: Any = None

    @classmethod
    def of_user(cls, user: Any) -> "Actor":
        return cls(ActorKind.USER, str(user.pk), user.get_username(), user)

    @classmethod
    def of_key(cls, key: Any) -> "Actor":
        """A key acts for itself: what it changes is not put down to the person who made it."""
        return cls(ActorKind.KEY, str(key.pk), str(key))


#: Hourhand itself: its chores, its commands, its first start.
SYSTEM = Actor(ActorKind.SYSTEM, "", "Hourhand")
