"""Links by which somebody new sets the password of an account that was made for them.

Hourhand sends no mail of its own: whoever adds a member hands the link over. It is shown once, works once and for
PASSWORD_RESET_TIMEOUT seconds, and leads to an account that nobody has signed in to yet, never to one in use.
"""

import datetime
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode


class InvitationTokens(PasswordResetTokenGenerator):
    """Tokens of their own: none of them resets a password by any other door."""

    key_salt = "accounts.invitations"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link to hand over, and until when it works."""

    url: str
    expires_at: datetime.datetime


def invite(user: Any, *, now: datetime.datetime) -> Invitation:
    """A new link for an account that waits for its password; links made for it before stop working."""
    user.set_unusable_password()  # a new random one each time, which every token depends on
    user.save(update_fields=["password"])
    reference = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("invitation", args=[reference, InvitationTokens().make_token(user)])
    return Invitation(settings.PUBLIC_URL + path, now + datetime.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT))


def withdraw(user: Any) -> None:
    """Let no link that was made for this account work any more."""
    user.set_unusable_password()
    user.save(update_fields=["password"])


def is_invited(user: Any) -> bool:
    """Whether this account was made for somebody who has not set a password yet."""
    return not user.has_usable_password() and user.last_login is None and not user.is_superuser
