"""Examples of job objects in the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

_ID = "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a"
_TEMPLATE = {
    "name": "Sync a customer",
    "request": {
        "url": "https://api.example.com/customers/{{input.customer}}/sync?at={{unix}}",
        "headers": {"Authorization": "Bearer {{secrets.BILLING_TOKEN}}"},
        "body": {"id": "{{uuid}}", "environment": "{{environment}}"},
    },
}
_ORDER = {
    "name": "Order and wait for the goods",
    "kind": "workflow",
    "workflow": {
        "timeout_seconds": 604800,
        "steps": [
            {
                "id": "create",
                "type": "http",
                "request": {"url": "https://api.example.com/orders", "body": {"items": "{{input.items}}"}},
                "extract": {"order": "$.id"},
            },
            {
                "id": "goods",
                "type": "http",
                "request": {"url": "https://api.example.com/orders/{{steps.create.order}}", "method": "GET"},
                "poll": {
                    "until": [{"type": "json_path_equals", "path": "$.state", "value": "shipped"}],
                    "every_seconds": 600,
                    "timeout_seconds": 432000,
                },
            },
        ],
        "output": {"order": "{{steps.create.order}}", "parcel": "{{steps.goods.json.parcel}}"},
    },
}
_REFUND = {
    "name": "Refund",
    "kind": "workflow",
    "workflow": {
        "steps": [
            {
                "id": "order",
                "type": "http",
                "request": {"url": "https://api.example.com/orders/{{input.order}}", "method": "GET"},
                "extract": {"amount": "$.total"},
            },
            {
                "id": "ok",
                "type": "approval",
                "if": [{"value": "{{steps.order.amount}}", "op": "gt", "to": 100}],
                "message": "Refund {{steps.order.amount}} of order {{input.order}}?",
                "approvers": ["role:admin"],
                "self_approval": False,
                "form": [{"name": "reason", "required": True}],
            },
            {
                "id": "pay",
                "type": "http",
                "request": {
                    "url": "https://api.example.com/refunds",
                    "body": {"order": "{{input.order}}", "amount": "{{steps.order.amount}}"},
                },
            },
        ],
    },
}
_REQUEST = {
    "name": "Nightly report",
    "schedule": "0 2 * * *",
    "timezone": "Europe/Berlin",
    "request": {
        "url": "https://api.example.com/report",
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": '{"report":"daily"}',
    },
}
_RETRY = {
    "policy": None,
    "max_attempts": 3,
    "backoff": "exponential",
    "delay_ms": 250,
    "max_delay_ms": 10800000,
    "delays_ms": None,
    "jitter": True,
    "on_statuses": [429, 500, 502, 503, 504],
    "except_statuses": [],
    "on_timeout": True,
    "on_connection_error": True,
    "on_assertion": False,
    "on_worker_lost": True,
    "honor_retry_after": True,
}
_RESPONSE = {
    "id": _ID,
    "slug": "nightly-report",
    **_REQUEST,
    "description": "",
    "tags": ["billing"],
    "kind": "http",
    "schedule_normalized": "0 2 * * *",
    "schedule_description": "At 02:00",
    "schedule_type": "recurring",
    "starts_at": None,
    "ends_at": None,
    "jitter_seconds": 0,
    "dst_gap": "shift",
    "dst_fold": "first",
    "overlap": "allow",
    "misfire": "fire_once",
    "misfire_grace_seconds": 3600,
    "request": {
        "url": "https://api.example.com/report",
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": '{"report":"daily"}',
        "timeout_seconds": 30,
        "tls_verify": True,
        "ca_cert": None,
        "client_cert": None,
    },
    "success": {
        "statuses": ["2xx"],
        "assertions": [{"type": "json_path_equals", "path": "$.status", "value": "ok"}],
    },
    "retry": _RETRY,
    "callback_url": "https://example.com/finished",
    "callback": {"url": "https://example.com/finished", "on": ["failed", "canceled"], "include_body": False},
    "concurrency": None,
    "command": None,
    "workflow": None,
    "webhook": {"enabled": False, "url": None, "secret_set": False},
    "managed_by": None,
    "retention": {"keep_last": 100, "keep_days": None},
    "environments": {
        "production": {
            "enabled": True,
            "paused": False,
            "paused_until": None,
            "pause_note": "",
            "overrides": {},
            "next_fire_at": "2026-03-16T01:00:00.000Z",
            "last_status": "succeeded",
            "consecutive_failures": 0,
        }
    },
    "version": 7,
    "created_at": "2026-03-01T09:30:00.000Z",
    "updated_at": "2026-03-15T16:02:11.480Z",
    "deleted_at": None,
}

JOB = [
    OpenApiExample("Nightly call", value=_REQUEST, request_only=True),
    OpenApiExample("Template with a secret", value=_TEMPLATE, request_only=True),
    OpenApiExample("Workflow: order, then poll", value=_ORDER, request_only=True),
    OpenApiExample("Workflow: approval before a refund", value=_REFUND, request_only=True),
    OpenApiExample("Job", value=_RESPONSE, response_only=True),
]

_RULES = {field: value for field, value in _RETRY.items() if field != "policy"}
_POLICY = {
    "slug": "patient",
    "name": "Patient",
    "max_attempts": 8,
    "backoff": "exponential",
    "delay_ms": 1000,
    "max_delay_ms": 3600000,
}
RETRY_POLICY = [
    OpenApiExample("Eight attempts with growing delays", value=_POLICY, request_only=True),
    OpenApiExample(
        "Retry policy",
        value={
            "id": _ID,
            **_RULES,
            **_POLICY,
            "created_at": "2026-03-01T09:30:00.000Z",
            "updated_at": "2026-03-15T16:02:11.480Z",
        },
        response_only=True,
    ),
]

SCHEDULE = [
    OpenApiExample(
        "Schedule in words",
        value={
            "schedule": "every day at 2:30",
            "timezone": "Europe/Berlin",
            "count": 2,
            "from": "2027-03-26T12:00:00Z",
        },
        request_only=True,
    ),
    OpenApiExample("Cron with seconds", value={"schedule": "*/10 * 9-17 * * mon-fri"}, request_only=True),
]
PREVIEW = [
    OpenApiExample(
        "Preview",
        value={
            "normalized": "30 2 * * *",
            "description": "At 02:30",
            "type": "recurring",
            "next": ["2027-03-27T01:30:00.000Z", "2027-03-28T01:00:00.000Z"],
            "warnings": [
                "On 2027-03-28 in Europe/Berlin 02:30 does not exist: it fires at 03:00 instead.",
                "On 2027-10-31 in Europe/Berlin 02:30 happens twice: it fires the first time only.",
            ],
        },
        response_only=True,
    ),
]

_CRONTAB = """CRON_TZ=Europe/Berlin
# Nightly report
0 2 * * * curl -fsS -X POST https://api.example.com/report > /dev/null
@hourly /opt/backup.sh
"""
_SYSTEM = "0 2 * * *\troot\tcurl -fsS https://api.example.com/report\n"
_VERCEL = {"crons": [{"path": "/api/report", "schedule": "0 2 * * *"}]}
IMPORT = [
    OpenApiExample("Crontab", value={"format": "crontab", "content": _CRONTAB, "dry_run": True}, request_only=True),
    OpenApiExample(
        "System crontab",
        value={"format": "crontab", "content": _SYSTEM, "user_column": True, "timezone": "Europe/Berlin"},
        request_only=True,
    ),
    OpenApiExample(
        "vercel.json",
        value={"format": "vercel", "content": _VERCEL, "base_url": "https://app.example.com"},
        request_only=True,
    ),
    OpenApiExample(
        "Jobs that have not changed since a dry run",
        value={
            "format": "json",
            "content": {"jobs": [{**_REQUEST, "slug": "nightly-report"}]},
            "managed_by": "billing",
            "revisions": {"nightly-report": None},
        },
        request_only=True,
    ),
    OpenApiExample("Jobs as JSON", value={"format": "json", "content": {"jobs": [_REQUEST]}}, request_only=True),
]
IMPORTED = [
    OpenApiExample(
        "Dry run of a change",
        value={
            "created": 0,
            "updated": 1,
            "unchanged": 0,
            "failed": 0,
            "items": [
                {
                    "index": 0,
                    "slug": "nightly-report",
                    "result": "updated",
                    "revision": "7-2c26b46b68ff",
                    "changes": [{"field": "schedule", "old": "0 2 * * *", "new": "0 3 * * *"}],
                    "firings": {
                        "production": {"before": ["2026-03-16T01:00:00.000Z"], "after": ["2026-03-16T02:00:00.000Z"]}
                    },
                    "notes": [],
                    "errors": [],
                }
            ],
        },
        response_only=True,
    ),
    OpenApiExample(
        "One created, one failed",
        value={
            "created": 1,
            "updated": 0,
            "unchanged": 0,
            "failed": 1,
            "items": [
                {
                    "index": 0,
                    "line": 3,
                    "slug": "nightly-report",
                    "result": "created",
                    "revision": None,
                    "changes": [],
                    "firings": {},
                    "notes": [],
                    "errors": [],
                },
                {
                    "index": 1,
                    "line": 4,
                    "slug": None,
                    "result": "failed",
                    "revision": None,
                    "changes": [],
                    "firings": {},
                    "notes": [],
                    "errors": [
                        {
                            "field": None,
                            "code": "unreadable",
                            "detail": "Hourhand calls URLs and runs no programs: the command should be a URL, or "
                            "curl or wget with one. What runs a program needs an endpoint that does it, "
                            "which you then call.",
                        }
                    ],
                },
            ],
        },
        response_only=True,
    ),
]
VERSION_DIFF = [
    OpenApiExample(
        "Difference of two versions",
        value={
            "from": 6,
            "to": 7,
            "changes": [
                {"field": "schedule", "old": "@hourly", "new": "0 2 * * *"},
                {"field": "environments.staging.overrides.concurrency", "old": None, "new": 1},
            ],
        },
        response_only=True,
    )
]
