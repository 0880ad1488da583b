"""Who speaks for the owners of a workspace, for what nobody else may do."""

from typing import Any

from accounts.actors import Actor, ActorKind
from accounts.models import ApiKey, Membership, Role, Workspace
from core.errors import HourhandError


class OwnerOnlyError(HourhandError):
    code = "owner_only"
    status = 403

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


def require_owner(actor: Actor, workspace: Workspace) -> None:
    """Raises OwnerOnlyError unless this is an owner of the workspace, a superuser, or a key of theirs.

    A key speaks for an owner while the person who made it is one: an administrator can't make one that does. A key that
    another key made was made by nobody in person, and speaks for none.
    """
    if actor.kind == ActorKind.USER and not _owns(actor.user, workspace):
        raise OwnerOnlyError("Only an owner of the workspace can do this.")
    if actor.kind == ActorKind.KEY:
        maker = ApiKey.objects.select_related("created_by").get(pk=actor.id).created_by
        if maker is None or not _owns(maker, workspace):
            raise OwnerOnlyError("Only an owner of the workspace can do this, or a key that an owner made in person.")


def _owns(user: Any, workspace: Workspace) -> bool:
    """Whether a person is an owner now; superusers own all workspaces."""
    owners = Membership.objects.filter(workspace=workspace, role=Role.OWNER)
    return user.is_active and (user.is_superuser or owners.filter(user=user).exists())
