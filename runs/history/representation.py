"""Representations of executions and runs, in the API and in callbacks, for rows read with `runs.history.rows`. Pure."""

import datetime
from typing import Any

from core.validation.fields import instant_text
from runs.models import Execution, Run
from runs.states import ExecutionStatus, Trigger

PREVIEW_BYTES = 2048
TRUNCATED = "...[truncated]"
_PHASES = ("queue_ms", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "total_ms")
_BASE64 = "base64"


def preview(text: str | None) -> str | None:
    """The first 2 KiB of a text, with a mark if it is truncated."""
    if text is None:
        return None
    raw = text.encode()
    if len(raw) <= PREVIEW_BYTES:
        return text
    return raw[:PREVIEW_BYTES].decode(errors="ignore") + TRUNCATED


def represent_execution(
    execution: Execution, *, last_run: Run | None, waiting: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An execution in a list. `last_run` needs `response_body_cut` only; `waiting` is what a workflow waits for."""
    job = execution.job
    current = job.current_version
    pending = execution.status == ExecutionStatus.PENDING
    source, is_retry = execution.replay_of_id and str(execution.replay_of_id), execution.trigger == Trigger.RETRY
    return {
        "id": str(execution.pk),
        "job": job.slug,
        "job_id": str(execution.job_id),
        "job_name": job.name,
        "job_version": execution.job_version.number,
        "job_version_current": current and current.number,
        "environment": execution.environment.slug,
        "trigger": execution.trigger,
        "status": execution.status,
        "skip_reason": execution.skip_reason or None,
        "occurrences": execution.occurrences,
        "scheduled_for": _instant(execution.scheduled_for),
        "scheduled_until": _instant(execution.scheduled_until),
        "created_at": _instant(execution.created_at),
        "started_at": _instant(execution.started_at),
        "finished_at": _instant(execution.finished_at),
        "next_attempt_at": _instant(execution.next_attempt_at) if pending else None,
        **_durations(execution),
        "attempts": execution.attempts,
        "max_attempts": execution.max_attempts,  # type: ignore[attr-defined]
        "failure_reason": execution.failure_reason or None,
        "error": execution.error or None,
        "replay_of": None if is_retry else source,
        "retry_of": source if is_retry else None,
        "final_response": _final_response(last_run),
        "exit_code": None,
        "waiting": waiting,
        "callback": execution.callback_state,  # type: ignore[attr-defined]
    }


def represent_execution_with_runs(
    execution: Execution, *, waiting: dict[str, Any] | None, steps: list[dict[str, Any]]
) -> dict[str, Any]:
    """An execution with its input, output, steps and runs."""
    runs = execution.latest_runs[::-1]  # type: ignore[attr-defined]
    return {
        **represent_execution(execution, last_run=runs[-1] if runs else None, waiting=waiting),
        "input": execution.input,
        "output": execution.output,
        "steps": steps,
        "runs": [represent_run(run) for run in runs],
    }


def represent_finished_execution(execution: Execution, *, include_body: bool) -> dict[str, Any]:
    """An execution as its callback reports it: without runs and callback, and with the last body if `include_body`.

    So all attempts to report it send the same.
    """
    last_run = next(iter(execution.last_runs), None)  # type: ignore[attr-defined]
    shown = represent_execution(execution, last_run=last_run)
    del shown["callback"]
    if include_body and last_run is not None and shown["final_response"] is not None:
        shown["final_response"]["body"] = last_run.response_body
    return {**shown, "input": execution.input, "output": execution.output}


def _durations(execution: Execution) -> dict[str, int | None]:
    """Waiting counts from the due time or the creation, whichever is later; lateness from the due time."""
    started, finished, due = execution.started_at, execution.finished_at, execution.planned_start
    ready = max(execution.created_at, due) if due else execution.created_at
    return {
        "pending_duration_ms": _milliseconds(ready, started),
        "run_duration_ms": _milliseconds(started, finished),
        "total_duration_ms": _milliseconds(ready, finished),
        "lateness_ms": _milliseconds(due, started),
    }


def _milliseconds(begin: datetime.datetime | None, end: datetime.datetime | None) -> int | None:
    if begin is None or end is None:
        return None
    return max(0, round((end - begin).total_seconds() * 1000))


def _final_response(run: Run | None) -> dict[str, Any] | None:
    if run is None or run.response_status is None:
        return None
    body = run.response_body_cut  # type: ignore[attr-defined]
    return {
        "status_code": run.response_status,
        "body_preview": preview(body),
        **_encoding(run.response_body_encoding),
    }


def represent_run(run: Run, *, cut: bool = False) -> dict[str, Any]:
    """A run, in full or with its texts cut for a list. That of a test call has no execution."""
    retry = {"of": run.first_run_id and str(run.first_run_id), "attempt": run.number - 1}  # type: ignore[attr-defined]
    return {
        "id": str(run.pk),
        "execution": run.execution_id and str(run.execution_id),
        "job": run.job.slug,
        "job_version": run.job_version_id and run.job_version.number,
        "environment": run.environment.slug,
        "step": run.step or None,
        "attempt": run.number,
        "trigger": "retry" if run.number > 1 else run.trigger,
        "retry": retry if run.number > 1 else None,
        "status": run.status,
        "failure_reason": run.failure_reason or None,
        "error": run.error or None,
        "started_at": _instant(run.started_at),
        "finished_at": _instant(run.finished_at),
        "duration_ms": run.duration_ms,
        "timings": {phase: getattr(run, phase) for phase in _PHASES},
        "request": {
            "method": run.request_method,
            "url": run.request_url,
            "headers": run.request_headers,
            "body": _text(run, "request_body", cut=cut),
            **_encoding(run.request_body_encoding),
        },
        "response": _response(run, cut=cut),
        "exit_code": run.exit_code,
        "output": _text(run, "output", cut=cut),
        "error_output": _text(run, "error_output", cut=cut),
        "worker": run.worker or None,
    }


def _response(run: Run, *, cut: bool) -> dict[str, Any] | None:
    if run.response_status is None:
        return None
    return {
        "status_code": run.response_status,
        "headers": run.response_headers or {},
        "body": _text(run, "response_body", cut=cut),
        "body_truncated": run.body_truncated,
        "body_bytes": run.body_bytes,
        "body_note": run.body_note,
        "http_version": run.http_version or None,
        "remote_ip": run.remote_ip,
        **_encoding(run.response_body_encoding),
    }


def _text(run: Run, column: str, *, cut: bool) -> str | None:
    return preview(getattr(run, f"{column}_cut")) if cut else getattr(run, column)


def _encoding(encoding: str) -> dict[str, str]:
    return {"body_encoding": _BASE64} if encoding == _BASE64 else {}


def _instant(value: datetime.datetime | None) -> str | None:
    return None if value is None else instant_text(value)
