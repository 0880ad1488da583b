"""Examples of executions and runs in the OpenAPI document."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_EXECUTION_ID = "01978f3b-0a52-7c11-8f0e-6a2d4b7c9e10"
_RUN: dict[str, Any] = {
    "id": "01978f3b-0a71-7e02-9c3b-1f5a7d2e8b44",
    "execution": _EXECUTION_ID,
    "job": "nightly-report",
    "job_version": 7,
    "environment": "production",
    "step": None,
    "attempt": 1,
    "trigger": "schedule",
    "retry": None,
    "status": "succeeded",
    "failure_reason": None,
    "error": None,
    "started_at": "2026-03-15T01:00:00.006Z",
    "finished_at": "2026-03-15T01:00:00.148Z",
    "duration_ms": 142,
    "timings": {
        "queue_ms": 3, "dns_ms": 2, "connect_ms": 11, "tls_ms": 24, "first_byte_ms": 96, "total_ms": 142,
    },
    "request": {
        "method": "POST",
        "url": "https://api.example.com/report",
        "headers": {"content-type": "application/json", "authorization": "[redacted]"},
        "body": '{"report":"daily"}',
    },
    "response": {
        "status_code": 200,
        "headers": {"content-type": "application/json"},
        "body": '{"ok":true}',
        "body_truncated": False,
        "body_bytes": 11,
        "body_note": None,
        "http_version": "1.1",
        "remote_ip": "93.184.215.14",
    },
    "exit_code": None,
    "output": None,
    "error_output": None,
    "worker": "worker-1@host",
}  # fmt: skip
_STEP: dict[str, Any] = {
    "id": "sign_off",
    "type": "approval",
    "number": 1,
    "section": "steps",
    "status": "waiting",
    "attempts": 0,
    "started_at": "2026-03-15T01:00:00.310Z",
    "finished_at": None,
    "waiting": {
        "kind": "approval",
        "step": "sign_off",
        "since": "2026-03-15T01:00:00.310Z",
        "expires_at": "2026-03-16T01:00:00.310Z",
        "resume_url": "https://hourhand.example.com/hooks/resume/AZePOwpSfBGPDmotS3yeEAABq1c0bnVtYmVyLW9mLW9uZS1zdGVwLXVybA==",
        "url_set": True,
    },
    "approval": {
        "message": "Send 1,200 mails?",
        "approvers": ["role:admin"],
        "required": 2,
        "decisions": [
            {
                "by": "mara", "how": "approved", "note": "Checked the list.", "form": {"reason": "launch"},
                "at": "2026-03-15T07:12:09.001Z",
            }
        ],
        "form": [{"name": "reason", "label": "Reason", "type": "text", "required": True, "options": []}],
    },
    "output": None,
    "extracted": None,
    "failure_reason": None,
    "error": None,
    "resolved_by": None,
    "resolved_how": None,
    "carried_from": None,
}  # fmt: skip
_EXECUTION: dict[str, Any] = {
    "id": _EXECUTION_ID,
    "job": "nightly-report",
    "job_id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "job_name": "Nightly report",
    "job_version": 7,
    "job_version_current": 9,
    "environment": "production",
    "trigger": "schedule",
    "status": "succeeded",
    "skip_reason": None,
    "occurrences": 1,
    "scheduled_for": "2026-03-15T01:00:00.000Z",
    "scheduled_until": None,
    "created_at": "2026-03-15T01:00:00.002Z",
    "started_at": "2026-03-15T01:00:00.006Z",
    "finished_at": "2026-03-15T01:00:00.148Z",
    "next_attempt_at": None,
    "pending_duration_ms": 4,
    "run_duration_ms": 142,
    "total_duration_ms": 146,
    "lateness_ms": 6,
    "attempts": 1,
    "max_attempts": 3,
    "failure_reason": None,
    "error": None,
    "replay_of": None,
    "retry_of": None,
    "final_response": {"status_code": 200, "body_preview": '{"ok":true}'},
    "exit_code": None,
    "waiting": None,
    "callback": {"status": "delivered", "attempts": 1},
    "input": None,
    "output": None,
    "steps": [],
    "runs": [_RUN],
}

RUN = [OpenApiExample("Run", value=_RUN, response_only=True)]
TEST_CALL = [
    OpenApiExample("Saved job with an input", value={"input": {"customer": 42}}, request_only=True),
    OpenApiExample(
        "Unsaved changes in staging",
        value={"environment": "staging", "request": {"body": {"report": "weekly"}, "timeout_seconds": 10}},
        request_only=True,
    ),
]
TESTED = [
    OpenApiExample(
        "Test of unsaved changes",
        value={**_RUN, "execution": None, "job_version": None, "trigger": "manual"},
        response_only=True,
        status_codes=["200"],
    )
]
EXECUTION = [OpenApiExample("Execution", value=_EXECUTION, response_only=True)]
STEP = [OpenApiExample("Waiting for a second approval", value=_STEP, response_only=True)]
DECISION = [
    OpenApiExample(
        "With a form",
        value={"step": "sign_off", "note": "Checked the list.", "form": {"reason": "launch"}},
        request_only=True,
    )
]
PENDING_APPROVAL = [
    OpenApiExample(
        "Needs one more",
        value={
            "execution": _EXECUTION_ID,
            "job": "newsletter",
            "job_name": "Newsletter",
            "environment": "production",
            "step": "sign_off",
            "message": "Send 1,200 mails?",
            "since": "2026-03-15T01:00:00.310Z",
            "expires_at": "2026-03-16T01:00:00.310Z",
            "approvers": ["role:admin"],
            "required": 2,
            "approvals": 1,
            "form": [{"name": "reason", "label": "Reason", "type": "text", "required": True, "options": []}],
        },
        response_only=True,
    )
]
RETRY = [OpenApiExample("From the beginning", value={"from": "start"}, request_only=True)]
RUN_NOW = [
    OpenApiExample("With an input", value={"input": {"customer": 42}}, request_only=True),
    OpenApiExample(
        "With a callback of its own", value={"callback_url": "https://example.com/orders/42"}, request_only=True
    ),
]
REPLAY = [
    OpenApiExample("Original configuration", value={"config": "original"}, request_only=True),
    OpenApiExample(
        "Other environment and body",
        value={"environment": "staging", "edit": {"body": {"report": "weekly"}, "timeout_seconds": 60}},
        request_only=True,
    ),
]

_PERIOD: dict[str, Any] = {
    "state": "active",
    "from": "2026-03-01T09:30:00.000Z",
    "until": None,
    "job_version": 7,
    "note": "",
}
LEDGER = [
    OpenApiExample(
        "One day with a pause of one hour",
        value={
            "from": "2026-03-14T12:00:00.000Z",
            "to": "2026-03-15T12:00:00.000Z",
            "environment": "production",
            "planned": 288,
            "fired": 274,
            "skipped": {"missed": 2, "paused": 12},
            "due": 0,
            "differences": [],
            "history_from": "2026-03-12T03:15:00.000Z",
            "periods": [
                {**_PERIOD, "until": "2026-03-15T08:00:30.000Z"},
                {
                    **_PERIOD,
                    "state": "paused",
                    "from": "2026-03-15T08:00:30.000Z",
                    "until": "2026-03-15T09:00:30.000Z",
                    "note": "Database upgrade",
                },
                {**_PERIOD, "from": "2026-03-15T09:00:30.000Z"},
            ],
        },
        response_only=True,
    )
]
EXPLANATION = [
    OpenApiExample(
        "Skipped by a pause",
        value={
            "at": "2026-03-15T08:30:00.000Z",
            "environment": "production",
            "verdict": "skipped",
            "detail": "It was skipped, one of 12 in a row: the job was paused at 2026-03-15 08:00:30 UTC "
            "(Database upgrade).",
            "occurrence": "2026-03-15T08:30:00.000Z",
            "execution": {"id": _EXECUTION_ID, "status": "skipped", "skip_reason": "paused"},
            "lateness_ms": None,
            "previous": None,
            "next": None,
            "period": {
                **_PERIOD,
                "state": "paused",
                "from": "2026-03-15T08:00:30.000Z",
                "until": "2026-03-15T09:00:30.000Z",
                "note": "Database upgrade",
            },
        },
        response_only=True,
    )
]

_BULK_FILTER = {"status": "failed", "failure_reason": "http_server_error", "from": "2026-03-15T00:00:00Z"}
BULK_REPLAY = [
    OpenApiExample(
        "Server errors since midnight, ten per second",
        value={"filter": _BULK_FILTER, "rate_per_second": 10},
        request_only=True,
    )
]
BULK_RETRY = [
    OpenApiExample(
        "Workflows that failed since midnight, from the step that failed",
        value={"filter": {"job": "newsletter", "from": "2026-03-15T00:00:00Z"}, "from": "failed"},
        request_only=True,
    )
]
BULK_CANCEL = [
    OpenApiExample("Executions of one job", value={"filter": {"job": "nightly-report"}}, request_only=True),
]
BULK_MATCHED = [
    OpenApiExample(
        "Dry run",
        value={"dry_run": True, "matched": 1, "more": False, "ids": [_EXECUTION_ID]},
        response_only=True,
        status_codes=["200"],
    )
]
BULK_OPERATION = [
    OpenApiExample(
        "Half processed",
        value={
            "id": "01978f40-1d3c-7a90-b1de-5c2f8a6e7d31",
            "kind": "replay",
            "state": "running",
            "filter": _BULK_FILTER,
            "config": "current",
            "from": None,
            "rate_per_second": 10,
            "asked_by": "mara",
            "matched": 2,
            "more": False,
            "done": 1,
            "skipped": 0,
            "remaining": 1,
            "created_at": "2026-03-15T09:00:00.000Z",
            "finished_at": None,
            "ids": [_EXECUTION_ID, "01978f3b-0a52-7c11-8f0e-6a2d4b7c9e11"],
            "cursor": None,
        },
        response_only=True,
    )
]

CALLBACK = [
    OpenApiExample(
        "Delivered at the second attempt",
        value={
            "id": "01978f3b-2c41-7e0a-93d5-7f1b6a0c4d28",
            "execution": _EXECUTION_ID,
            "job": "nightly-report",
            "environment": "production",
            "event": "execution.finished",
            "sequence": 4711,
            "status": "delivered",
            "attempts": 2,
            "created_at": "2026-03-15T01:00:00.150Z",
            "finished_at": "2026-03-15T01:00:10.420Z",
            "next_attempt_at": None,
            "last_status_code": 204,
            "last_error": None,
            "calls": [
                {
                    "number": 1,
                    "started_at": "2026-03-15T01:00:00.154Z",
                    "duration_ms": 31,
                    "status_code": 503,
                    "response_body": "busy",
                    "error": "HTTP 503",
                    "remote_ip": "93.184.215.14",
                    "worker": "worker-1@host",
                },
                {
                    "number": 2,
                    "started_at": "2026-03-15T01:00:10.391Z",
                    "duration_ms": 24,
                    "status_code": 204,
                    "response_body": "",
                    "error": None,
                    "remote_ip": "93.184.215.14",
                    "worker": "worker-2@host",
                },
            ],
        },
        response_only=True,
    )
]
REDELIVER = [
    OpenApiExample(
        "What failed since midnight",
        value={"filter": {"status": "failed", "from": "2026-03-15T00:00:00Z"}},
        request_only=True,
    )
]
REDELIVERED = [
    OpenApiExample(
        "Sent again",
        value={"dry_run": False, "matched": 12, "redelivered": 12, "more": False},
        response_only=True,
        status_codes=["202"],
    )
]

_COUNTS = {"pending": 0, "running": 0, "waiting": 0, "succeeded": 276, "failed": 12, "canceled": 0, "skipped": 2}
_ZEROS = {**dict.fromkeys(_COUNTS, 0)}
STATS = [
    OpenApiExample(
        "Two hourly buckets",
        value={
            "from": "2026-03-15T10:00:00.000Z",
            "to": "2026-03-15T12:00:00.000Z",
            "bucket": "1h",
            "counts": _COUNTS,
            "success_rate": 0.958333,
            "duration_ms": {"p50": 142, "p95": 371, "p99": 1220},
            "lateness_ms": {"p50": 6, "p99": 48},
            "buckets": [
                {
                    "at": "2026-03-15T10:00:00.000Z",
                    "counts": _COUNTS,
                    "duration_ms": {"p50": 142, "p95": 371, "p99": 1220},
                },
                {
                    "at": "2026-03-15T11:00:00.000Z",
                    "counts": _ZEROS,
                    "duration_ms": {"p50": None, "p95": None, "p99": None},
                },
            ],
            "upcoming": [
                {
                    "job": "nightly-report",
                    "job_id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
                    "job_name": "Nightly report",
                    "environment": "production",
                    "scheduled_for": "2026-03-16T01:00:00.000Z",
                }
            ],
        },
        response_only=True,
    )
]

WEBHOOK_DELIVERY = [
    OpenApiExample(
        "A delivery that was refused",
        value={
            "id": "0197a1b2-03d4-7e5f-8a6b-7c8d9e0f1a2b",
            "received_at": "2026-03-15T02:00:00.000Z",
            "status": "refused",
            "reason": "bad_signature",
            "detail": "bad signature",
            "environment": None,
            "execution": None,
            "content_type": "application/json",
            "body_bytes": 812,
        },
        response_only=True,
    )
]
