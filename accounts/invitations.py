"""Open invitations: memberships that nobody has accepted yet, and the links by which somebody does.

Hourhand sends no mail of its own: whoever adds a member hands the link over. The link is all the proof there is, and it
proves something in its own workspace only: a membership becomes that of the account that accepts it, whatever name or
address it was made for. So no workspace learns who has an account in the house, and none can make one for another.
A link is shown once, works once and for PASSWORD_RESET_TIMEOUT seconds.
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

#: Names that were taken, after which a link works no more: it can't be used to ask who has an account.
MAX_TRIES = 10


class InvitationOverError(ConflictError):
    """The link was used, replaced, withdrawn or is too old."""

    code = "invitation_over"

    def __init__(self) -> None:
        super().__init__("This invitation does not work any more.")


class AlreadyMemberError(ConflictError):
    code = "member_exists"

    def __init__(self) -> None:
        super().__init__("You are a member of this workspace already.")


class NewAccountError(HourhandError):
    """The account can't be made like this; `field` is `username` or `password`."""

    code = "invalid"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link to hand over, and until when it works."""

    url: str
    expires_at: datetime.datetime


def invite(membership: Membership, *, now: datetime.datetime) -> Invitation:
    """A new link for an open invitation; the one before stops working."""
    token = secrets.token_urlsafe(32)
    membership.invitation_digest = _digest(token)
    membership.invitation_expires_at = now + datetime.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    membership.invitation_tries = 0
    membership.save(update_fields=["invitation_digest", "invitation_expires_at", "invitation_tries"])
    path = reverse("invitation", args=[membership.pk, token])
    return Invitation(settings.PUBLIC_URL + path, membership.invitation_expires_at)


def invited(membership_id: uuid.UUID, token: str, *, now: datetime.datetime) -> Membership | None:
    """The open invitation that this link leads to, if it still works."""
    found = Membership.objects.select_related("workspace").filter(pk=membership_id, user=None).first()
    return found if found is not None and _works(found, token, now) else None


@transaction.atomic
def accept(*, membership_id: uuid.UUID, token: str, user: Any, now: datetime.datetime) -> Membership:
    """Make the membership that of this account. Raises InvitationOverError and AlreadyMemberError."""
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
    """Make an account that may sign in to the dashboard, and the membership its own.

    Raises InvitationOverError, and NewAccountError for a name that is taken and for a weak password.
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
    # Names that differ by case only would be told apart by nobody.
    if model._default_manager.filter(username__iexact=account.username).exists():
        taken = NewAccountError("This username is taken. Choose another, or sign in if it is yours.", field="username")
        taken.code = "username_taken"
        raise taken
    account.save(force_insert=True)
    return account


def _locked(membership_id: uuid.UUID, token: str, now: datetime.datetime) -> Membership:
    """The open invitation, which nobody else accepts meanwhile. Raises InvitationOverError."""
    open_ones = Membership.objects.select_for_update(of=("self",)).select_related("workspace")
    membership = open_ones.filter(pk=membership_id, user=None).first()
    if membership is None or not _works(membership, token, now):
        raise InvitationOverError
    return membership


def _works(membership: Membership, token: str, now: datetime.datetime) -> bool:
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
