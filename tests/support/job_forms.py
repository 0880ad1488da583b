"""The dashboard's job form, filled in and submitted like a browser does."""

from typing import Any

from django.test import Client
from django.urls import reverse

from jobs.models import Job, JobVersion
from tests.support.browser_form import submitted_values

CALL = {"url": "https://api.example.com/"}
FORM = {
    "name": "Ping", "schedule": "*/5 * * * *", "timezone": "Europe/Berlin", "method": "POST",
    "url": "https://api.example.com/ping", "headers": "X-One: 1\r\nX-Two: a: b", "body": "line\r\nline", "tags": "a, b",
    "timeout_seconds": "12.5", "tls_verify": "on", "success_statuses": "2xx, 304", "max_attempts": "4",
    "backoff": "fixed", "delay_ms": "1000", "on_statuses": "429, 503", "on_timeout": "on", "environments": "production",
    "assertions-TOTAL_FORMS": "0", "assertions-INITIAL_FORMS": "0", "conditions-TOTAL_FORMS": "0",
    "conditions-INITIAL_FORMS": "0",
}  # fmt: skip


def change_url(job: Job) -> str:
    return reverse("admin:jobs_job_change", args=[job.pk])


def form_of(client: Client, job: Job) -> dict[str, Any]:
    """Return the values that a browser would submit unchanged."""
    page = client.get(change_url(job)).content.decode()
    return submitted_values(page, form_id="job-form")


def save(client: Client, job: Job, **changes: Any) -> Any:
    """Submit the form with changed fields; None removes one, like an unchecked checkbox."""
    values = {**form_of(client, job), **changes}
    return client.post(change_url(job), {name: value for name, value in values.items() if value is not None})


def config_of(job: Job) -> dict[str, Any]:
    config: dict[str, Any] = JobVersion.objects.filter(job=job).latest("number").config
    return config
