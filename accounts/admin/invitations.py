"""The page that an invitation leads to: somebody new sets the password of the account made for them."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordResetConfirmView
from django.urls import reverse_lazy
from unfold.widgets import UnfoldAdminPasswordWidget

from accounts.invitations import InvitationTokens, is_invited


class FirstPasswordForm(SetPasswordForm):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})


class AcceptInvitation(PasswordResetConfirmView):
    """Works once, for an account that is still waiting for its first password; signs its owner in."""

    form_class = FirstPasswordForm
    token_generator = InvitationTokens()
    template_name = "accounts/invitation.html"
    title = "Welcome"
    post_reset_login = True
    success_url = reverse_lazy("admin:index")

    def get_user(self, uidb64: str) -> Any:
        user = super().get_user(uidb64)
        return user if user is not None and user.is_active and is_invited(user) else None

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        return {**admin.site.each_context(self.request), **super().get_context_data(**context)}
