"""Use cases of members: invited, given another role, removed. One owner stays; nobody gives more than they have.

Nothing here looks at accounts of the house beyond those of the workspace: what is answered tells of no others.
"""

import datetime
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.actors import Actor
from accounts.grants import Grant
from accounts.invitations import Invitation, invite
from accounts.models import Membership, Role, Workspace
from accounts.roles import grant_of_role
from core.differences import difference
from core.errors import ConflictError, HourhandError, NotFoundError


class BroaderRoleError(HourhandError):
    """A role, given or taken away, reaches further than whoever does it."""

    code = "broader_than_caller"
    status = 403

    def __init__(self, role: str, beyond: tuple[str, ...]) -> None:
        super().__init__(f"The role {role} reaches further than you do: {'; '.join(beyond)}.", field="role")


class LastOwnerError(ConflictError):
    code = "last_owner"

    def __init__(self) -> None:
        super().__init__("A workspace keeps at least one owner; make somebody else an owner first.")


class InvalidMemberError(HourhandError):
    code = "invalid"


class MemberExistsError(ConflictError):
    code = "member_exists"


class NotInvitedError(ConflictError):
    code = "not_invited"


@dataclass(frozen=True, slots=True)
class AddedMember:
    """A membership that waits for somebody, and the link by which they accept it."""

    membership: Membership
    invitation: Invitation


@transaction.atomic
def add_member(
    *,
    workspace: Workspace,
    username: str,
    email: str,
    role: str,
    actor: Actor,
    limit: Grant | None = None,
    now: datetime.datetime,
) -> AddedMember:
    """Invite somebody, who joins with the account that they accept the invitation with: theirs, or a new one.

    One of the two may be empty; a new account is named by its address then. `limit` is how far the caller reaches, None
    for Hourhand itself. Raises InvalidMemberError, BroaderRoleError and MemberExistsError.
    """
    _refuse_broader(role, limit)
    username = _valid_name(username, email)
    _take_turns(workspace.pk)
    _refuse_double(workspace, username, email)
    membership = Membership.objects.create(
        workspace=workspace, role=role, invited_username=username, invited_email=email, created_at=now
    )
    audit.record("member.added", membership, actor=actor, now=now, changes=difference({}, {"role": role}))
    return AddedMember(membership, invite(membership, now=now))


@transaction.atomic
def change_role(
    *, membership: Membership, role: str, actor: Actor, limit: Grant | None = None, now: datetime.datetime
) -> Membership:
    """Give a member another role. Raises BroaderRoleError for what reaches beyond `limit`, and LastOwnerError."""
    locked = _locked(membership)
    before = locked.role
    _refuse_broader(before, limit)
    _refuse_broader(role, limit)
    if role != before:
        if before == Role.OWNER:
            _refuse_last_owner(locked)
        locked.role = role
        locked.save(update_fields=["role"])
        audit.record(
            "member.updated", locked, actor=actor, now=now, changes=difference({"role": before}, {"role": role})
        )
    return locked


@transaction.atomic
def remove_member(*, membership: Membership, actor: Actor, limit: Grant | None = None, now: datetime.datetime) -> None:
    """End a membership, or withdraw an invitation; the account stays. Raises BroaderRoleError and LastOwnerError."""
    locked = _locked(membership)
    _refuse_broader(locked.role, limit)
    if locked.role == Role.OWNER:
        _refuse_last_owner(locked)
    audit.record("member.removed", locked, actor=actor, now=now, changes=difference({"role": locked.role}, {}))
    locked.delete()


@transaction.atomic
def invite_again(
    *, membership: Membership, actor: Actor, limit: Grant | None = None, now: datetime.datetime
) -> Invitation:
    """A new link for somebody who has not accepted yet; the one before stops working.

    Raises BroaderRoleError, and NotInvitedError for somebody who is a member already.
    """
    locked = _locked(membership)
    _refuse_broader(locked.role, limit)
    if locked.user is not None:
        raise NotInvitedError(f"{locked.username} has accepted already.")
    audit.record("member.invited", locked, actor=actor, now=now)
    return invite(locked, now=now)


def _valid_name(username: str, email: str) -> str:
    """The name of a new account, as it would be made: the address where none is given. Raises InvalidMemberError."""
    if not username and not email:
        raise InvalidMemberError("Give a username or an email address.", field="username")
    model = get_user_model()
    account = model(username=model.normalize_username(username or email), email=email)
    account.set_unusable_password()
    try:
        account.clean_fields()
    except ValidationError as error:
        field = "email" if "email" in error.error_dict or not username else "username"
        raise InvalidMemberError(" ".join(error.messages), field=field) from error
    return str(account.get_username())


def _refuse_double(workspace: Workspace, username: str, email: str) -> None:
    """Raises MemberExistsError for whom the workspace has, or has invited, by this name or address."""
    same = Q(user=None, invited_username__iexact=username) | Q(user__username__iexact=username)
    if email:
        same |= Q(invited_email__iexact=email) | Q(invited_username="", user__email__iexact=email)
    found = Membership.objects.select_related("user").filter(same, workspace=workspace).first()
    if found is not None:
        what = "is invited already; a new link can be made" if found.user is None else "is a member already"
        raise MemberExistsError(f"{found.username} {what}.")


def _take_turns(workspace_id: Any) -> None:
    """Changes of one workspace's members take turns, so that owners and names can be counted."""
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace_id)


def _locked(membership: Membership) -> Membership:
    """The membership as it is now, until the transaction ends."""
    _take_turns(membership.workspace_id)
    found = Membership.objects.select_related("workspace", "user").filter(pk=membership.pk).first()
    if found is None:
        raise NotFoundError("There is no such member.")
    return found


def _refuse_broader(role: str, limit: Grant | None) -> None:
    if limit is not None and (beyond := grant_of_role(role).beyond(limit)):
        raise BroaderRoleError(role, beyond)


def _refuse_last_owner(membership: Membership) -> None:
    """Raises LastOwnerError. Somebody who has only been invited owns nothing yet."""
    owners = Membership.objects.filter(workspace_id=membership.workspace_id, role=Role.OWNER, user__isnull=False)
    if membership.user is not None and not owners.exclude(pk=membership.pk).exists():
        raise LastOwnerError
