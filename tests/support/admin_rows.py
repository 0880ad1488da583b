"""Users, executions and runs for the dashboard's tests."""

import datetime
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, Workspace
from jobs.models import JobEnvironment
from runs.models import Execution, Run

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def person(name: str, *, workspace: Workspace | None = None, role: str = "member", superuser: bool = False) -> Any:
    user = get_user_model().objects.create_user(name, is_staff=True, is_superuser=superuser)
    if workspace is not None:
        Membership.objects.create(workspace=workspace, user=user, role=role)
    return user


def signed_in(user: Any, *, checks_csrf: bool = False) -> Client:
    client = Client(enforce_csrf_checks=checks_csrf)
    client.force_login(user)
    return client


def admin_action(
    client: Client,
    changelist: str,
    name: str,
    ids: Iterable[Any],
    *,
    query: str = "",
    confirmed: bool = False,
    **fields: str,
) -> Any:
    """Press the button of an admin action on selected rows, or that of its confirmation."""
    step = {"confirmed": "yes"} if confirmed else {"index": "0"}
    posted = {"action": f"{name}_selected", "_selected_action": [str(pk) for pk in ids], **step, **fields}
    return client.post(f"{reverse(f'admin:{changelist}_changelist')}{query}", posted)


def execution_of(row: JobEnvironment, *, status: str = "succeeded", **changes: Any) -> Execution:
    """Create an execution of two minutes ago with the columns that its status requires."""
    at = timezone.now() - datetime.timedelta(minutes=2)
    ended = status in ("succeeded", "failed", "canceled", "skipped")
    columns: dict[str, Any] = {
        "created_at": at,
        "started_at": None if status in ("pending", "skipped") else at,
        "finished_at": at + datetime.timedelta(seconds=1) if ended else None,
        "next_attempt_at": None if ended else at,
        "lease_owner": "worker" if status == "running" else None,
        "lease_expires_at": timezone.now() if status == "running" else None,
        "skip_reason": "missed" if status == "skipped" else "",
        "trigger": "manual",
        "attempts": 1,
    }
    return Execution.objects.create(
        workspace_id=row.workspace_id,
        job=row.job,
        environment=row.environment,
        job_environment=row,
        job_version=row.job.current_version,
        status=status,
        **{**columns, **changes},
    )


def run_of(execution: Execution, *, number: int = 1, **changes: Any) -> Run:
    columns: dict[str, Any] = {
        "status": "succeeded",
        "started_at": execution.created_at,
        "finished_at": execution.created_at + datetime.timedelta(milliseconds=142),
        "duration_ms": 142,
        "queue_ms": 3,
        "dns_ms": 2,
        "connect_ms": 11,
        "tls_ms": 24,
        "first_byte_ms": 96,
        "total_ms": 142,
        "request_method": "POST",
        "request_url": "https://api.test/report",
        "request_headers": {"authorization": "[redacted]", "content-type": "application/json"},
        "request_body": '{"big":12345678901234567890.10,"a":1,"a":2}',
        "response_status": 200,
        "response_headers": {"content-type": "application/json"},
        "response_body": '{"ok":true}',
        "body_bytes": 11,
    }
    return Run.objects.create(
        workspace_id=execution.workspace_id,
        job_id=execution.job_id,
        environment_id=execution.environment_id,
        job_version_id=execution.job_version_id,
        execution=execution,
        number=number,
        trigger=execution.trigger,
        **{**columns, **changes},
    )
