"""The webhook on a job's page: its URL, what came to it lately, and the button that gives it another URL."""

import contextlib
import uuid
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone

from accounts.actors import Actor
from accounts.encryption import EncryptionKeyError
from dashboard.jobs.lookups import get_writable_job, report_change
from jobs.models import Job
from jobs.services.webhooks import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS, rotate_webhook, webhook_path
from runs.models import WebhookDelivery
from runs.states import WebhookReason

_SHOWN = 10
_SECONDS_PER_HOUR = 3600


class WebhookRotationForm(forms.Form):
    """For how long the present URL still works."""

    overlap_hours = forms.IntegerField(
        min_value=0,
        max_value=MAX_OVERLAP_SECONDS // _SECONDS_PER_HOUR,
        initial=DEFAULT_OVERLAP_SECONDS // _SECONDS_PER_HOUR,
        label="Hours that the present URL still works",
        widget=forms.NumberInput(attrs={"class": "hh-input"}),
    )


@dataclass(frozen=True, slots=True)
class ShownDelivery:
    delivery: WebhookDelivery
    words: str

    @classmethod
    def of(cls, delivery: WebhookDelivery) -> "ShownDelivery":
        words = delivery.detail or (str(WebhookReason(delivery.reason).label) if delivery.reason else "")
        return cls(delivery, words)


def webhook_context(
    request: HttpRequest, job: Job, config: dict[str, Any], *, may_change: bool
) -> dict[str, Any] | None:
    """What the page shows of a webhook; None where the job has none."""
    if not config.get("webhook"):
        return None
    enabled, url = config["webhook"]["enabled"], None
    deliveries = WebhookDelivery.objects.filter(job=job).select_related("environment").defer("payload")
    if enabled and may_change:
        with contextlib.suppress(EncryptionKeyError):
            url = request.build_absolute_uri(webhook_path(job))
    until = job.previous_webhook_until
    return {
        "enabled": enabled,
        "url": url,
        "deliveries": [ShownDelivery.of(delivery) for delivery in deliveries.order_by("-pk")[:_SHOWN]],
        "previous_until": until if until and until > timezone.now() else None,
        "rotation": WebhookRotationForm() if enabled and may_change else None,
    }


def rotate(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponseRedirect:
    job = get_writable_job(request, job_id)
    form = WebhookRotationForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(map(str, form.errors["overlap_hours"])))
        return redirect("admin:jobs_job_page", job.pk)
    hours = form.cleaned_data["overlap_hours"]
    rotate_webhook(
        job=job, overlap_seconds=hours * _SECONDS_PER_HOUR, actor=Actor.of_user(request.user), now=timezone.now()
    )
    until = f"The previous one works for {hours} more hours." if hours else "The previous one works no longer."
    report_change(job_admin, request, job, f"The webhook has a new URL. {until}")
    return redirect("admin:jobs_job_page", job.pk)
