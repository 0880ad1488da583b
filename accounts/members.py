"""Use cases of members: added, given another role, removed. One owner stays; nobody gives more than they have."""

import datetime
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import SYSTEM, Actor
from accounts.differences import difference
from accounts.errors import ConflictError, HourhandError, NotFoundError
from accounts.grants import Grant
from accounts.invitations import Invitation, invite, is_invited, withdraw
from accounts.models import Membership, Role, Workspace
from accounts.roles import grant_of_role


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


class AccountConflictError(ConflictError):
    """An account with this name or address exists, and can't be the one that is meant."""

    code = "account_conflict"


class NotInvitedError(ConflictError):
    code = "not_invited"


@dataclass(frozen=True, slots=True)
class AddedMember:
    """`invitation` is the way in for an account made just now; None for somebody who has one already."""

    membership: Membership
    invitation: Invitation | None


@transaction.atomic
def add_member(
    *,
    workspace: Workspace,
    username: str,
    email: str,
    role: str,
    actor: Actor = SYSTEM,
    limit: Grant | None = None,
    now: datetime.datetime,
) -> AddedMember:
    """Add whoever has this username, or this address; an account is made for somebody who has none.

    One of the two may be empty; an account without a username is named by its address. `limit` is how far the caller
    reaches, None for Hourhand itself. Raises InvalidMemberError, BroaderRoleError, MemberExistsError and
    AccountConflictError.
    """
    _refuse_broader(role, limit)
    user = _account(username, email)
    made = user is None
    user = user or _new_account(username, email)
    waits = is_invited(user)
    if waits and user.memberships.exclude(workspace=workspace).exists():
        # A link for this account would lead to the other workspace as well.
        raise AccountConflictError("This person has not accepted an invitation to another workspace yet.")
    try:
        with transaction.atomic():
            membership = Membership.objects.create(workspace=workspace, user=user, role=role, created_at=now)
    except IntegrityError as error:
        raise MemberExistsError(f"{user.get_username()} is a member already.") from error
    changes = difference({}, {"role": role, **({"account": "new"} if made else {})})
    _record("member.added", membership, actor=actor, now=now, changes=changes)
    return AddedMember(membership, invite(user, now=now) if waits else None)


@transaction.atomic
def change_role(
    *, membership: Membership, role: str, actor: Actor = SYSTEM, limit: Grant | None = None, now: datetime.datetime
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
        _record("member.updated", locked, actor=actor, now=now, changes=difference({"role": before}, {"role": role}))
    return locked


@transaction.atomic
def remove_member(
    *, membership: Membership, actor: Actor = SYSTEM, limit: Grant | None = None, now: datetime.datetime
) -> None:
    """End a membership; the account stays. Raises BroaderRoleError and LastOwnerError."""
    locked = _locked(membership)
    _refuse_broader(locked.role, limit)
    if locked.role == Role.OWNER:
        _refuse_last_owner(locked)
    if is_invited(locked.user):
        withdraw(locked.user)
    _record("member.removed", locked, actor=actor, now=now, changes=difference({"role": locked.role}, {}))
    locked.delete()


@transaction.atomic
def invite_again(
    *, membership: Membership, actor: Actor = SYSTEM, limit: Grant | None = None, now: datetime.datetime
) -> Invitation:
    """A new link for a member who has not set a password yet; the one before stops working.

    Raises BroaderRoleError, and NotInvitedError for somebody who has a way in already.
    """
    locked = _locked(membership)
    _refuse_broader(locked.role, limit)
    if not is_invited(locked.user):
        raise NotInvitedError(f"{locked.user.get_username()} has accepted already.")
    _record("member.invited", locked, actor=actor, now=now, changes={})
    return invite(locked.user, now=now)


def _account(username: str, email: str) -> Any | None:
    """The active account that is meant, if there is one. Raises InvalidMemberError and AccountConflictError."""
    # Locked, so that two workspaces can't both invite somebody who has no password yet.
    accounts = get_user_model()._default_manager.select_for_update(no_key=True)
    if not username and not email:
        raise InvalidMemberError("Give a username or an email address.", field="username")
    if username:
        found = accounts.filter(username=username).first() or accounts.filter(username__iexact=username).first()
        if found is None and email and accounts.filter(email__iexact=email).exists():
            raise AccountConflictError("Another account has this address.", field="email")
        if found is not None and email and found.email.lower() != email.lower():
            raise AccountConflictError("The account of this name has another address.", field="email")
    else:
        owners = list(accounts.filter(email__iexact=email)[:2]) or list(accounts.filter(username__iexact=email)[:1])
        if len(owners) > 1:
            raise AccountConflictError("Several accounts have this address; give the username.", field="email")
        found = owners[0] if owners else None
    if found is not None and not found.is_active:
        raise AccountConflictError(f"The account {found.get_username()} is disabled.", field="username")
    return found


def _new_account(username: str, email: str) -> Any:
    """An account without a password that may sign in to the dashboard, where roles say what it may do."""
    model = get_user_model()
    account = model(username=model.normalize_username(username or email), email=email, is_staff=True)
    try:
        if email:
            validate_email(email)
    except ValidationError as error:
        raise InvalidMemberError(" ".join(error.messages), field="email") from error
    account.set_unusable_password()
    try:
        account.full_clean()
    except ValidationError as error:
        field = "username" if username else "email"
        raise InvalidMemberError(" ".join(error.messages), field=field) from error
    account.save(force_insert=True)
    return account


def _locked(membership: Membership) -> Membership:
    """The membership as it is now; changes of one workspace's members take turns, so that owners can be counted."""
    Workspace.objects.select_for_update(no_key=True).get(pk=membership.workspace_id)
    found = Membership.objects.select_related("workspace", "user").filter(pk=membership.pk).first()
    if found is None:
        raise NotFoundError("There is no such member.")
    return found


def _refuse_broader(role: str, limit: Grant | None) -> None:
    if limit is not None and (beyond := grant_of_role(role).beyond(limit)):
        raise BroaderRoleError(role, beyond)


def _refuse_last_owner(membership: Membership) -> None:
    owners = Membership.objects.filter(workspace_id=membership.workspace_id, role=Role.OWNER)
    if not owners.exclude(pk=membership.pk).exists():
        raise LastOwnerError


def _record(
    action: str, membership: Membership, *, actor: Actor, now: datetime.datetime, changes: dict[str, list[Any]]
) -> None:
    label = membership.user.get_username()
    audit.record(
        action, membership, workspace_id=membership.workspace_id, actor=actor, label=label, now=now, changes=changes
    )
