"""The page of an invitation link: accept it with an existing account or a new one."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts.invitations import InvitationOverError, accept, accept_with_new_account, open_invitation
from accounts.models import Membership
from core.errors import HourhandError

#: Replaces the token in the path, and the session keeps the token: browsers send paths on in Referer headers.
ACCEPT = "accept"
_SESSION_KEY = "hourhand_invitation"


class NewAccountForm(forms.Form):
    """A new account. Its password is validated by `accept_with_new_account`."""

    username = forms.CharField(
        max_length=150,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "username", "autocapitalize": "none"}),
        help_text="The name you will sign in with.",
    )
    new_password1 = forms.CharField(
        label="Password", strip=False, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    )
    new_password2 = forms.CharField(
        label="Confirm password", strip=False, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    )

    def clean_new_password2(self) -> str:
        second: str = self.cleaned_data["new_password2"]
        if second != self.cleaned_data.get("new_password1"):
            raise forms.ValidationError("The two passwords don't match.")
        return second


@method_decorator([never_cache, sensitive_post_parameters("new_password1", "new_password2")], name="dispatch")
class AcceptInvitation(View):
    """A link works once. Signed-in users join with their account; others sign in or create one."""

    membership: Membership
    token: str

    def dispatch(self, request: HttpRequest, *args: Any, **path: Any) -> HttpResponseBase:
        reference: uuid.UUID = path["reference"]
        token: str = path["token"]
        tokens = request.session.get(_SESSION_KEY, {}) if token == ACCEPT else {str(reference): token}
        self.token = tokens.get(str(reference), "")
        membership = open_invitation(reference, self.token, now=timezone.now())
        if membership is None:
            return self._page(request, is_over=True)
        if token != ACCEPT:
            request.session[_SESSION_KEY] = {str(reference): token}
            return redirect("invitation", reference, ACCEPT)
        self.membership = membership
        return super().dispatch(request, *args, **path)

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse:
        return self._form(request, NewAccountForm(initial={"username": self.membership.username}))

    def post(self, request: HttpRequest, **path: Any) -> HttpResponse:
        try:
            return self._join(request) if request.user.is_authenticated else self._create_account(request)
        except InvitationOverError:
            return self._page(request, is_over=True)

    def _join(self, request: HttpRequest) -> HttpResponse:
        try:
            accept(membership_id=self.membership.pk, token=self.token, user=request.user, now=timezone.now())
        except InvitationOverError:
            raise
        except HourhandError as error:
            return self._page(request, membership=self.membership, error=error.detail)
        return self._accepted(request)

    def _create_account(self, request: HttpRequest) -> HttpResponse:
        form = NewAccountForm(request.POST)
        if not form.is_valid():
            return self._form(request, form)
        try:
            accepted = accept_with_new_account(
                membership_id=self.membership.pk,
                token=self.token,
                username=form.cleaned_data["username"] or self.membership.username,
                password=form.cleaned_data["new_password1"],
                now=timezone.now(),
            )
        except InvitationOverError:
            raise
        except HourhandError as error:
            form.add_error({"password": "new_password1"}.get(error.field or "", error.field), error.detail)
            return self._form(request, form)
        login(request, accepted.user, backend="django.contrib.auth.backends.ModelBackend")
        return self._accepted(request)

    def _accepted(self, request: HttpRequest) -> HttpResponseRedirect:
        request.session.pop(_SESSION_KEY, None)
        return HttpResponseRedirect(reverse("admin:index"))

    def _form(self, request: HttpRequest, form: NewAccountForm) -> HttpResponse:
        return self._page(request, membership=self.membership, form=form)

    def _page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        return render(request, "accounts/invitation.html", {**admin.site.each_context(request), **context})
