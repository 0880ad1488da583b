"""Workflows as callers send them, and as versions store them."""

import datetime
from typing import Any

from accounts.models import Workspace
from jobs.validation.definition import DefinitionSerializer
from tests.support.jobs import EPOCH

URL = "http://receiver.test/ok"


def http_step(step_id: str = "call", **fields: Any) -> dict[str, Any]:
    request = {"url": URL, **fields.pop("request", {})}
    return {"id": step_id, "type": "http", "request": request, **fields}


def delay_step(step_id: str = "cool", **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "type": "delay", **(fields or {"seconds": 600})}


def webhook_step(step_id: str = "paid", **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "type": "webhook", **fields}


def approval_step(step_id: str = "ok", **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "type": "approval", **fields}


def workflow_job(*steps: dict[str, Any], **workflow: Any) -> dict[str, Any]:
    """Return a job as it is sent; `workflow` are the other fields of its workflow."""
    return {"name": "Order", "kind": "workflow", "workflow": {"steps": list(steps or [http_step()]), **workflow}}


def every_kind_of_step() -> dict[str, Any]:
    """Return a job with a step of each type, each field set, as it is sent."""
    return workflow_job(
        http_step(
            "create",
            request={"method": "POST", "body": {"at": "{{timestamp}}", "back": "{{steps.paid.resume_url}}"}},
            success={"statuses": ["201"]},
            retry={"max_attempts": 2},
            **{"if": [{"value": "{{input.mode}}", "op": "equals", "to": "full"}]},
            extract={"order": "$.id", "token": {"path": "$.token", "secret": True}, "n": {"path": "$.n", "default": 0}},
            poll={"until": [{"type": "json_path_equals", "path": "$.state", "value": "done"}], "every_seconds": 5},
            on_failure="stop",
        ),
        delay_step("cool", seconds=600),
        delay_step("later", until="{{steps.create.json.at}}"),
        webhook_step("paid", accept=[{"value": "{{body.order}}", "op": "exists"}], on_timeout="continue"),
        approval_step(
            "ok",
            message="Send {{steps.create.n}} mails?",
            approvers=["role:admin"],
            self_approval=False,
            form=[
                {"name": "reason", "required": True},
                {"name": "size", "label": "Size", "type": "choice", "options": ["s", "m"]},
            ],
        ),
        http_step("send", request={"url": f"{URL}/{{{{steps.create.order}}}}?ok={{{{steps.ok.status}}}}"}),
        **{"finally": [http_step("clean", request={"method": "DELETE", "url": f"{URL}/{{{{steps.create.order}}}}"})]},
        output={"order": "{{steps.create.order}}", "list": [1, None, "{{input}}"]},
        timeout_seconds=86400,
    )


def stored_definition(
    sent: dict[str, Any], workspace: Workspace | None = None, *, now: datetime.datetime = EPOCH
) -> dict[str, Any]:
    """Return a valid job's definition as a version stores it. Without secrets and users it needs no database."""
    serializer = DefinitionSerializer(data=sent, context={"workspace": workspace or Workspace(), "now": now})
    serializer.is_valid(raise_exception=True)
    return serializer.definition
