"""Whether an actor has the rights of a workspace's owner."""

from typing import Any

from accounts.actors import Actor, ActorKind
from accounts.models import ApiKey, Membership, Role, Workspace
from core.errors import HourhandError


class OwnerOnlyError(HourhandError):
    code = "owner_only"
    status = 403

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


def require_owner(*, actor: Actor, workspace: Workspace) -> None:
    """Raises OwnerOnlyError unless the actor is an owner of the workspace, a superuser, or a key that one created.

    A key has an owner's rights while its creator is an owner: an administrator can't create such a key. A key created
    by another key has no person as its creator, and never has them.
    """
    if actor.kind == ActorKind.USER and not _owns(actor.user, workspace):
        raise OwnerOnlyError("Only an owner of the workspace can do this.")
    if actor.kind == ActorKind.KEY:
        creator = ApiKey.objects.select_related("created_by").get(pk=actor.id).created_by
        if creator is None or not _owns(creator, workspace):
            raise OwnerOnlyError(
                "Only an owner of the workspace can do this, or a key that an owner created in person."
            )


def _owns(user: Any, workspace: Workspace) -> bool:
    """Return whether a person is an owner now; superusers own every workspace."""
    owners = Membership.objects.filter(workspace=workspace, role=Role.OWNER)
    return user.is_active and (user.is_superuser or owners.filter(user=user).exists())
