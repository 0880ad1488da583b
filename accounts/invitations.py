"""Invitations: memberships without an account yet, and the links that accept them.

Hourhand sends no mail: the person who adds a member passes the link on. The link is the only proof, and is valid in its
own workspace only: the membership goes to the account that accepts it, whatever name or address it was created for. So
no workspace learns who has an account on this server, and none can create an account for somebody else. A link is shown
once, works once, and expires after PASSWORD_RESET_TIMEOUT seconds.
"""

import datetime
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model, password_validation
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from accounts import audit
from accounts.actors import Actor
from accounts.models import Membership
from core.differences import difference
from core.errors import ConflictError, HourhandError

#: A link stops working after so many usernames that were taken, so that it cannot reveal who has an account.
MAX_TRIES = 10


class InvitationOverError(ConflictError):
    """The link was used, replaced or withdrawn, or has expired."""

    code = "invitation_over"

    def __init__(self) -> None:
        super().__init__("This invitation link is no longer valid. Ask for a new one.")


class AlreadyMemberError(ConflictError):
    code = "member_exists"

    def __init__(self) -> None:
        super().__init__("You are already a member of this workspace.")


class NewAccountError(HourhandError):
    """The account can't be created; `field` is `username` or `password`."""

    code = "invalid"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link to pass on, and when it expires."""

    url: str
    expires_at: datetime.datetime


def invite(membership: Membership, *, now: datetime.datetime) -> Invitation:
    """Create a link for an open invitation; the previous one stops working."""
    token = secrets.token_urlsafe(32)
    membership.invitation_digest = _digest(token)
    membership.invitation_expires_at = now + datetime.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    membership.invitation_tries = 0
    membership.save(update_fields=["invitation_digest", "invitation_expires_at", "invitation_tries"])
    path = reverse("invitation", args=[membership.pk, token])
    return Invitation(settings.PUBLIC_URL + path, membership.invitation_expires_at)


def open_invitation(membership_id: uuid.UUID, token: str, *, now: datetime.datetime) -> Membership | None:
    """Return the open invitation of a link; None if the link is not valid."""
    membership = Membership.objects.select_related("workspace").filter(pk=membership_id, user=None).first()
    return membership if membership is not None and _is_valid(membership, token, now) else None


@transaction.atomic
def accept(*, membership_id: uuid.UUID, token: str, user: Any, now: datetime.datetime) -> Membership:
    """Give the membership to this account. Raises InvitationOverError and AlreadyMemberError."""
    membership = _locked(membership_id, token, now)
    if Membership.objects.filter(workspace_id=membership.workspace_id, user=user).exists():
        raise AlreadyMemberError
    membership.user = user
    membership.invitation_digest, membership.invitation_expires_at = "", None
    membership.save(update_fields=["user", "invitation_digest", "invitation_expires_at"])
    audit.record(
        "member.accepted",
        membership,
        actor=Actor.of_user(user),
        now=now,
        changes=difference({"state": "invited"}, {"state": "active"}),
    )
    return membership


def accept_with_new_account(
    *, membership_id: uuid.UUID, token: str, username: str, password: str, now: datetime.datetime
) -> Membership:
    """Create an account that may sign in to the dashboard, and give it the membership.

    Raises InvitationOverError, and NewAccountError for a taken username and for a weak password.
    """
    try:
        with transaction.atomic():
            membership = _locked(membership_id, token, now)
            user = _new_account(username, membership.invited_email, password)
            return accept(membership_id=membership_id, token=token, user=user, now=now)
    except NewAccountError as error:
        if error.code == "username_taken":
            _count_try(membership_id)
        raise


def _new_account(username: str, email: str, password: str) -> Any:
    model = get_user_model()
    account = model(username=model.normalize_username(username), email=email, is_staff=True)
    try:
        password_validation.validate_password(password, account)
    except ValidationError as error:
        raise NewAccountError(" ".join(error.messages), field="password") from error
    account.set_password(password)
    try:
        account.clean_fields()
    except ValidationError as error:
        raise NewAccountError(" ".join(error.messages), field="username") from error
    # People cannot tell usernames apart that differ only in case.
    if model._default_manager.filter(username__iexact=account.username).exists():
        taken = NewAccountError("This username is taken. Choose another, or sign in if it is yours.", field="username")
        taken.code = "username_taken"
        raise taken
    account.save(force_insert=True)
    return account


def _locked(membership_id: uuid.UUID, token: str, now: datetime.datetime) -> Membership:
    """Lock the open invitation, so that nobody else accepts it. Raises InvitationOverError."""
    memberships = Membership.objects.select_for_update(of=("self",)).select_related("workspace")
    membership = memberships.filter(pk=membership_id, user=None).first()
    if membership is None or not _is_valid(membership, token, now):
        raise InvitationOverError
    return membership


def _is_valid(membership: Membership, token: str, now: datetime.datetime) -> bool:
    expires_at = membership.invitation_expires_at
    return (
        expires_at is not None
        and now < expires_at
        and membership.invitation_tries < MAX_TRIES
        and constant_time_compare(membership.invitation_digest, _digest(token))
    )


def _count_try(membership_id: uuid.UUID) -> None:
    with transaction.atomic():
        membership = Membership.objects.select_for_update().filter(pk=membership_id).first()
        if membership is not None:
            membership.invitation_tries += 1
            membership.save(update_fields=["invitation_tries"])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
