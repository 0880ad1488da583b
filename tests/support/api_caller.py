"""API clients, and history for them to read."""

import datetime
import json
import uuid
from collections.abc import Iterable
from typing import Any

from rest_framework.test import APIClient

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import Environment, Scope, Workspace
from core.ids import uuid7, uuid7_text_at
from jobs.models import JobEnvironment
from runs.models import Execution, Run

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
JOB = {"name": "Nightly report", "request": {"url": "http://receiver.test/ok"}}


class Caller(APIClient):
    """An API client that sends JSON and returns error responses instead of raising."""

    def __init__(self, key: str | None = None, **options: Any) -> None:
        super().__init__(raise_request_exception=False, **options)
        if key is not None:
            self.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
        self.default_format = "json"

    def ask(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        """Send a request and return the response's JSON. Checks the status, and that errors are problem+json."""
        answer = self.generic(method, f"/api/v1{path}", _json(body), content_type="application/json")
        if expect is not None:
            assert answer.status_code == expect, answer.content
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any = None, *, expect: int = 400) -> dict[str, str]:
        """Send a request that must fail, and return the error code of each field."""
        problem = self.ask(method, path, body, expect=expect)
        return {error["field"]: error["code"] for error in problem["errors"]}


def _json(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


def caller(
    workspace: Workspace,
    scopes: Iterable[str] = tuple(Scope),
    environments: Iterable[Environment] | None = None,
    expires_at: datetime.datetime | None = None,
) -> Caller:
    """Return a client with a new key."""
    issued = issue_key(
        workspace=workspace, name="test", scopes=scopes, environments=environments, expires_at=expires_at, actor=SYSTEM
    )
    return Caller(issued.key)


def make_execution(state: JobEnvironment, **columns: Any) -> Execution:
    """Create an execution, by default a succeeded one."""
    values = {
        "status": "succeeded",
        "trigger": "schedule",
        "created_at": NOW,
        "started_at": NOW,
        "finished_at": NOW,
        "attempts": 1,
        **columns,
    }
    if values["trigger"] == "schedule" and "scheduled_for" not in values:
        values["scheduled_for"] = values["created_at"]
    return Execution.objects.create(
        workspace_id=state.workspace_id,
        job_id=state.job_id,
        environment_id=state.environment_id,
        job_environment=state,
        job_version_id=state.job.current_version_id,
        **values,
    )


def make_run(execution: Execution, number: int = 1, **columns: Any) -> Run:
    """Create a run, by default answered with 200. With `started_at` in `columns`, its UUIDv7 has that time."""
    return Run.objects.create(
        id=uuid.UUID(uuid7_text_at(columns["started_at"])) if "started_at" in columns else uuid7(),
        workspace_id=execution.workspace_id,
        job_id=execution.job_id,
        environment_id=execution.environment_id,
        job_version_id=execution.job_version_id,
        execution=execution,
        number=number,
        trigger=execution.trigger,
        **{
            "status": "succeeded",
            "started_at": NOW,
            "finished_at": NOW + datetime.timedelta(milliseconds=142),
            "duration_ms": 142,
            "request_method": "POST",
            "request_url": "http://receiver.test/ok",
            "request_headers": {"authorization": "[redacted]"},
            "request_body": "{}",
            "response_status": 200,
            "response_headers": {"content-type": "text/plain"},
            "response_body": "done",
            "body_bytes": 4,
            "http_version": "1.1",
            "remote_ip": "93.184.215.14",
            "worker": "worker-1@host",
            **columns,
        },
    )


def some_id() -> str:
    return str(uuid.uuid4())
