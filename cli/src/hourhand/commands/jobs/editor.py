"""A job as a text to edit."""

from typing import Any

from hourhand.output import yaml_text

#: What the server computes.
_READ_ONLY = frozenset(
    {
        "id", "schedule_normalized", "schedule_description", "schedule_type", "version", "unreadable", "created_at",
        "updated_at", "deleted_at",
    }
)  # fmt: skip
#: Another spelling of `callback.url`, or a field that has only one value so far.
_LEFT_OUT = frozenset({"callback_url", "command"})
_WEBHOOK_READ_ONLY = frozenset({"url", "url_set"})


def editable(job: Any) -> dict[str, Any]:
    """Return the fields of a job that can be changed."""
    fields = {name: value for name, value in job.items() if name not in _READ_ONLY | _LEFT_OUT}
    webhook = {name: value for name, value in job["webhook"].items() if name not in _WEBHOOK_READ_ONLY}
    environments = {
        name: {"enabled": state["enabled"], "overrides": state["overrides"]}
        for name, state in job["environments"].items()
    }
    return {**fields, "webhook": webhook, "environments": environments}


def text_of(job: Any) -> str:
    """Return a job as YAML with a comment that says what happens."""
    return (
        f"# {job['slug']}, version {job['version']}. Saving this replaces the job; a removed line gets its default.\n"
        f"# Leave the editor without saving to change nothing.\n{yaml_text(editable(job))}\n"
    )
