"""How executions and runs are shown."""

from typing import Any

from hourhand.output import Column, column, duration, instant, printable


def due(execution: Any) -> str | None:
    """Return when an execution was planned, or else created."""
    return instant(execution["scheduled_for"] or execution["created_at"])


def reason(execution: Any) -> str | None:
    """Return why an execution did not succeed, or what it waits for."""
    if execution["waiting"]:
        return f"{execution['waiting']['kind']} at {execution['waiting']['step']}"
    return execution["error"] or execution["skip_reason"]


def attempts(execution: Any) -> str:
    most = execution["max_attempts"]
    return f"{execution['attempts']} of {most}" if most else str(execution["attempts"])


LISTED = (
    column("Id"),
    column("Job"),
    column("Environment"),
    column("Trigger"),
    column("Status"),
    Column("Due", due),
    Column("Took", lambda execution: duration(execution["run_duration_ms"])),
    column("Attempts"),
    Column("Reason", reason),
)
SHOWN = (
    column("Id"),
    column("Job"),
    column("Version", "job_version"),
    column("Environment"),
    column("Trigger"),
    column("Status"),
    Column("Reason", reason),
    column("Failure reason", "failure_reason"),
    Column("Due", due),
    Column("Started", lambda execution: instant(execution["started_at"])),
    Column("Finished", lambda execution: instant(execution["finished_at"])),
    Column("Took", lambda execution: duration(execution["run_duration_ms"])),
    Column("Attempts", attempts),
    column("Next attempt", "next_attempt_at"),
    column("Response", "final_response.status_code"),
    column("Replay of", "replay_of"),
    column("Retry of", "retry_of"),
)
RUNS = (
    column("Id"),
    column("Job"),
    column("Environment"),
    column("Step"),
    column("Attempt"),
    column("Status"),
    column("Response", "response.status_code"),
    Column("Started", lambda run: instant(run["started_at"])),
    Column("Took", lambda run: duration(run["duration_ms"])),
    column("Error"),
)
RUN = (
    column("Id"),
    column("Execution"),
    column("Job"),
    column("Version", "job_version"),
    column("Environment"),
    column("Step"),
    column("Attempt"),
    column("Trigger"),
    column("Status"),
    column("Failure reason", "failure_reason"),
    column("Error"),
    Column("Started", lambda run: instant(run["started_at"])),
    Column("Took", lambda run: duration(run["duration_ms"])),
    Column("Request", lambda run: f"{run['request']['method']} {run['request']['url']}"),
    column("Response", "response.status_code"),
    column("Remote ip", "response.remote_ip"),
    column("Body bytes", "response.body_bytes"),
    column("Worker"),
)


def identity(item: Any) -> str:
    return str(item["id"])


def progress(execution: Any) -> str:
    """Return a line about an execution under way."""
    attempt = f", attempt {attempts(execution)}" if execution["attempts"] else ""
    why = reason(execution)
    return printable(f"{execution['id']} {execution['status']}{attempt}{f': {why}' if why else ''}")


def log_line(run: Any) -> str:
    """Return the line of a run in a log."""
    response = run["response"]
    parts = [
        instant(run["started_at"]) or "",
        run["job"],
        run["environment"],
        f"{run['step']} " * bool(run["step"]) + f"attempt {run['attempt']}",
        run["status"],
        f"{run['request']['method']} {run['request']['url']}",
        str(response["status_code"]) if response else "",
        duration(run["duration_ms"]) or "",
        run["error"] or "",
    ]
    return printable("  ".join(part for part in parts if part))


def log_body(run: Any) -> str:
    """Return the body of a run's response, indented and safe for a terminal."""
    response = run["response"] or {}
    body = response.get("body")
    if not body:
        return ""
    if response.get("body_encoding"):
        return f"  ({response['body_bytes']} bytes that are no text)"
    cut = "\n  (cut after 64 KiB)" if response["body_truncated"] else ""
    return "\n".join(f"  {line}" for line in printable(body).splitlines()) + cut
