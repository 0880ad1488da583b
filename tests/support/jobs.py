"""A basic job definition, and the time at which tests start."""

import datetime
from collections.abc import Callable
from typing import Any

from jobs.models import JobEnvironment

EPOCH = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


def job_config(**changes: Any) -> dict[str, Any]:
    """Return a complete definition of a manual job with changed fields; nested ones are merged."""
    config: dict[str, Any] = {
        "name": "Nightly report",
        "description": "",
        "tags": [],
        "kind": "http",
        "schedule": None,
        "timezone": "UTC",
        "starts_at": None,
        "ends_at": None,
        "jitter_seconds": 0,
        "dst_gap": "shift",
        "dst_fold": "first",
        "overlap": "allow",
        "misfire": "fire_once",
        "misfire_grace_seconds": 3600,
        "request": {
            "url": "http://receiver.test/ok",
            "method": "POST",
            "headers": {},
            "body": None,
            "timeout_seconds": 30,
            "tls_verify": True,
            "ca_cert": None,
            "client_cert": None,
        },
        "success": {"statuses": ["2xx"], "assertions": []},
        "retry": {
            "policy": None,
            "max_attempts": 3,
            "backoff": "exponential",
            "delay_ms": 250,
            "max_delay_ms": 10_800_000,
            "delays_ms": None,
            "jitter": True,
            "on_statuses": [429, 500, 502, 503, 504],
            "except_statuses": [],
            "on_timeout": True,
            "on_connection_error": True,
            "on_assertion": False,
            "on_worker_lost": True,
            "honor_retry_after": True,
        },
        "callback_url": None,
        "concurrency": None,
        "command": None,
        "workflow": None,
        "retention": {"keep_last": 100, "keep_days": None},
    }
    for field, value in changes.items():
        config[field] = (
            {**(config.get(field) or {}), **value} if isinstance(value, dict) and field != "schedule" else value
        )
    return config


MakeJob = Callable[..., JobEnvironment]
