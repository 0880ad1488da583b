"""The callback on an execution's page: each attempt to report it, and the button that sends it again."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone

from accounts.actors import Actor
from core.errors import HourhandError
from core.words import Appearance
from dashboard.base.access import access_of
from dashboard.runs.buttons import require_writer
from runs.callbacks.redeliver import redeliver
from runs.models import Callback, CallbackAttempt, Execution
from runs.states import CallbackStatus

_LOOKS = {
    CallbackStatus.PENDING: Appearance("Pending", "wait", "schedule"),
    CallbackStatus.DELIVERED: Appearance("Delivered", "ok", "check_circle"),
    CallbackStatus.FAILED: Appearance("Failed", "bad", "error"),
}


@dataclass(frozen=True, slots=True)
class ShownCallback:
    """A callback with its attempts, the latest first."""

    callback: Callback
    look: Appearance
    attempts: Sequence[CallbackAttempt]
    may_redeliver: bool


def shown_callbacks(execution: Execution, *, may_write: bool) -> list[ShownCallback]:
    """The callbacks of an execution. No query where none can be due."""
    if not execution.callback_on:
        return []
    attempts = Prefetch("attempt_rows", queryset=CallbackAttempt.objects.order_by("-number"))
    callbacks = Callback.objects.filter(execution=execution).order_by("pk").prefetch_related(attempts)
    return [
        ShownCallback(
            callback,
            _LOOKS[CallbackStatus(callback.status)],
            list(callback.attempt_rows.all()),
            may_redeliver=may_write and callback.status != CallbackStatus.PENDING,
        )
        for callback in callbacks
    ]


def redeliver_button(request: HttpRequest, callback_id: uuid.UUID) -> HttpResponseRedirect:
    """Send a callback again, and return to its execution's page."""
    rows = access_of(request).narrow(Callback.objects.in_sight().select_related("job"))
    callback = rows.filter(pk=callback_id).first()
    if callback is None:
        raise Http404
    require_writer(request, callback.workspace_id)
    try:
        redeliver(callback=callback, now=timezone.now(), actor=Actor.of_user(request.user))
        messages.success(request, "The callback is being sent again.")
    except HourhandError as error:
        messages.error(request, error.detail)
    return redirect("admin:runs_execution_change", callback.execution_id)
