"""The sidebar: daily pages first, operators' pages last."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from dashboard.base.access import access_of

#: For owners and administrators only.
_CONFIDENTIAL = (
    ("Members", "group", "admin:accounts_membership_changelist"),
    ("API keys", "key", "admin:accounts_apikey_changelist"),
    ("Signing secrets", "signature", "admin:accounts_signingsecret_changelist"),
    ("Secrets", "lock", "admin:accounts_secret_changelist"),
    ("Audit log", "history", "admin:accounts_auditentry_changelist"),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of links that the person may open."""
    access = access_of(request)
    groups = [
        _group(
            "",
            ("Overview", "dashboard", "admin:index"),
            ("Jobs", "event_repeat", "admin:jobs_job_changelist"),
            ("Executions", "receipt_long", "admin:runs_execution_changelist"),
            ("Runs", "swap_calls", "admin:runs_run_changelist"),
            ("Bulk operations", "dynamic_feed", "admin:runs_bulkoperation_changelist"),
        ),
        _group(
            "Workspace",
            ("Workspaces", "domain", "admin:accounts_workspace_changelist"),
            ("Environments", "layers", "admin:accounts_environment_changelist"),
            ("Retry policies", "replay", "admin:jobs_retrypolicy_changelist"),
            *(_CONFIDENTIAL if access.administers_somewhere else ()),
            ("API reference", "api", "/api/docs/"),
        ),
    ]
    if access.everything:
        groups.append(
            _group(
                "Operations",
                ("Plans", "sell", "admin:accounts_plan_changelist"),
                ("Users", "person", "admin:auth_user_changelist"),
                ("Groups", "groups", "admin:auth_group_changelist"),
                ("Maintenance tasks", "cleaning_services", "admin:django_celery_beat_periodictask_changelist"),
                ("Intervals", "timer", "admin:django_celery_beat_intervalschedule_changelist"),
                ("Crontabs", "calendar_clock", "admin:django_celery_beat_crontabschedule_changelist"),
                collapsible=True,
            )
        )
    return groups


def _group(title: str, *links: tuple[str, str, str], collapsible: bool = False) -> dict[str, Any]:
    items = [
        {"title": title, "icon": icon, "link": target if target.startswith("/") else reverse(target)}
        for title, icon, target in links
    ]
    return {"title": title, "separator": bool(title), "collapsible": collapsible, "items": items}
