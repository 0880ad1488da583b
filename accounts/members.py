"""Invite members, change their roles, remove them. One owner always stays, and nobody grants more than they have.

Only accounts of the workspace are looked up, so that no answer reveals who else has an account.
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
    """The role, granted or taken away, has more access than the caller."""

    code = "broader_than_caller"
    status = 403

    def __init__(self, role: str, beyond: tuple[str, ...]) -> None:
        super().__init__(f"The role {role} has more access than you: {'; '.join(beyond)}.", field="role")


class LastOwnerError(ConflictError):
    code = "last_owner"

    def __init__(self) -> None:
        super().__init__("A workspace needs at least one owner. Make somebody else an owner first.")


class InvalidMemberError(HourhandError):
    code = "invalid"


class MemberExistsError(ConflictError):
    code = "member_exists"


class NotInvitedError(ConflictError):
    code = "not_invited"


@dataclass(frozen=True, slots=True)
class AddedMember:
    """A membership without an account yet, and the link that accepts it."""

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
    """Invite a person, who accepts the invitation with an existing account or a new one.

    `username` or `email` may be empty; without a username the address is suggested. `limit` is the caller's own access;
    None, for Hourhand itself, is no limit. Raises InvalidMemberError, BroaderRoleError and MemberExistsError.
    """
    _refuse_broader(role, limit)
    username = _valid_name(username, email)
    _lock_members(workspace.pk)
    _refuse_duplicate(workspace, username, email)
    membership = Membership.objects.create(
        workspace=workspace, role=role, invited_username=username, invited_email=email, created_at=now
    )
    audit.record("member.added", membership, actor=actor, now=now, changes=difference({}, {"role": role}))
    return AddedMember(membership, invite(membership, now=now))


@transaction.atomic
def change_role(
    *, membership: Membership, role: str, actor: Actor, limit: Grant | None = None, now: datetime.datetime
) -> Membership:
    """Change a member's role. Raises BroaderRoleError for more access than `limit`, and LastOwnerError."""
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
    """End a membership or withdraw an invitation; the account stays. Raises BroaderRoleError and LastOwnerError."""
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
    """Create a new link for an open invitation; the previous one stops working.

    Raises BroaderRoleError, and NotInvitedError for a member who has accepted.
    """
    locked = _locked(membership)
    _refuse_broader(locked.role, limit)
    if locked.user is not None:
        raise NotInvitedError(f"{locked.username} has already accepted the invitation.")
    audit.record("member.invited", locked, actor=actor, now=now)
    return invite(locked, now=now)


def _valid_name(username: str, email: str) -> str:
    """Return the username of a new account: the address where none is given. Raises InvalidMemberError."""
    if not username and not email:
        raise InvalidMemberError("Enter a username or an email address.", field="username")
    model = get_user_model()
    account = model(username=model.normalize_username(username or email), email=email)
    account.set_unusable_password()
    try:
        account.clean_fields()
    except ValidationError as error:
        field = "email" if "email" in error.error_dict or not username else "username"
        raise InvalidMemberError(" ".join(error.messages), field=field) from error
    return str(account.get_username())


def _refuse_duplicate(workspace: Workspace, username: str, email: str) -> None:
    """Raises MemberExistsError if the workspace has, or has invited, this name or address."""
    same = Q(user=None, invited_username__iexact=username) | Q(user__username__iexact=username)
    if email:
        same |= Q(invited_email__iexact=email) | Q(invited_username="", user__email__iexact=email)
    existing = Membership.objects.select_related("user").filter(same, workspace=workspace).first()
    if existing is not None:
        state = "has already been invited; create a new link" if existing.user is None else "is already a member"
        raise MemberExistsError(f"{existing.username} {state}.")


def _lock_members(workspace_id: Any) -> None:
    """Let one transaction at a time change a workspace's members: owners are counted, and names compared."""
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace_id)


def _locked(membership: Membership) -> Membership:
    """Return the membership as it is now, unchanged until the transaction ends."""
    _lock_members(membership.workspace_id)
    current = Membership.objects.select_related("workspace", "user").filter(pk=membership.pk).first()
    if current is None:
        raise NotFoundError("There is no such member.")
    return current


def _refuse_broader(role: str, limit: Grant | None) -> None:
    if limit is not None and (beyond := grant_of_role(role).beyond(limit)):
        raise BroaderRoleError(role, beyond)


def _refuse_last_owner(membership: Membership) -> None:
    """Raises LastOwnerError. An open invitation is not an owner yet."""
    owners = Membership.objects.filter(workspace_id=membership.workspace_id, role=Role.OWNER, user__isnull=False)
    if membership.user is not None and not owners.exclude(pk=membership.pk).exists():
        raise LastOwnerError
