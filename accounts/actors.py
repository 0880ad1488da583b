"""Who makes a change: a person, an API key, or Hourhand itself."""

from dataclasses import dataclass
from typing import Any

from django.db import models


class ActorKind(models.TextChoices):
    USER = "user"
    KEY = "key"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """`label` is its name at the time of the change. `user` is the person's account; None for keys and Hourhand."""

    kind: ActorKind
    id: str
    label: str
    user: Any = None

    @classmethod
    def of_user(cls, user: Any) -> "Actor":
        return cls(ActorKind.USER, str(user.pk), user.get_username(), user)

    @classmethod
    def of_key(cls, key: Any) -> "Actor":
        """A key acts for itself: its changes are not attributed to the person who created it."""
        return cls(ActorKind.KEY, str(key.pk), str(key))


#: Hourhand itself: maintenance tasks, management commands, the first start.
SYSTEM = Actor(ActorKind.SYSTEM, "", "Hourhand")
