"""Create workspaces and change their settings."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.api_keys import issue_key
from accounts.models import Environment, Membership, Role, Scope, Workspace
from accounts.names import ALWAYS_REDACTED, is_header_name
from accounts.plans import plan_stops
from accounts.quota import OveragePolicy
from accounts.signing import make_signing_secret
from core.differences import difference
from core.errors import HourhandError

FIRST_ENVIRONMENT = "production"


class InvalidSettingError(HourhandError):
    code = "invalid"


@transaction.atomic
def create_workspace(*, slug: str, name: str) -> Workspace:
    """Create a workspace with its `production` environment and, if encryption is set up, its first signing secret."""
    workspace = Workspace.objects.create(slug=slug, name=name)
    Environment.objects.create(workspace=workspace, slug=FIRST_ENVIRONMENT, name="Production")
    if settings.ENCRYPTION_KEYS:
        make_signing_secret(workspace, now=workspace.created_at)
    return workspace


MAX_SHOWN_HEADERS = 50
#: The columns of a workspace that its administrators change.
SETTINGS = ("name", "redact_allow_headers", "overage_policy", "overage_budget_cents")


def settings_of(workspace: Workspace) -> dict[str, Any]:
    """Return a workspace's settings, as the API shows them and the audit log compares them."""
    return {field: getattr(workspace, field) for field in SETTINGS}


@transaction.atomic
def change_settings(
    *, workspace: Workspace, changes: Mapping[str, Any], actor: Actor, now: datetime.datetime
) -> Workspace:
    """Change the given ones of SETTINGS. Raises InvalidSettingError.

    A policy other than `capped` clears the budget.
    """
    if "redact_allow_headers" in changes:
        changes = {**changes, "redact_allow_headers": _valid_headers(changes["redact_allow_headers"])}
    locked = Workspace.objects.select_for_update(no_key=True, of=("self",)).select_related("plan").get(pk=workspace.pk)
    if plan_stops(locked.plan):
        _refuse_looser(changes)
    before = settings_of(locked)
    after = {**before, **changes}
    after["overage_budget_cents"] = _budget(after, given=changes.get("overage_budget_cents"))
    for field in SETTINGS:
        setattr(locked, field, after[field])
    locked.save(update_fields=SETTINGS)
    if changed := difference(before, settings_of(locked)):
        audit.record("settings.updated", locked, actor=actor, now=now, changes=changed)
    return locked


def _refuse_looser(changes: Mapping[str, Any]) -> None:
    """Raises InvalidSettingError for a change that would let more runs start than a plan that stops."""
    for field, stricter in (("overage_policy", OveragePolicy.HARD_STOP), ("overage_budget_cents", None)):
        if field in changes and changes[field] != stricter:
            raise InvalidSettingError(
                "The workspace's plan stops at its included runs: only hard_stop, without a budget, is possible.",
                field=field,
            )


def _budget(settings: Mapping[str, Any], *, given: int | None) -> int | None:
    """Return the budget that goes with the policy. `given` is the change's own, if any. Raises InvalidSettingError."""
    if settings["overage_policy"] == OveragePolicy.CAPPED:
        if settings["overage_budget_cents"] is None:
            raise InvalidSettingError('Required for the policy "capped".', field="overage_budget_cents")
        budget: int = settings["overage_budget_cents"]
        return budget
    if given is not None:
        raise InvalidSettingError('Only allowed for the policy "capped".', field="overage_budget_cents")
    return None


def _valid_headers(names: Iterable[str]) -> list[str]:
    """Return header names in lower case, sorted. Raises InvalidSettingError."""
    headers = sorted({name.lower() for name in names})
    for header in headers:
        if not is_header_name(header):
            raise InvalidSettingError(f"{header[:100]!r} is not a valid header name.", field="redact_allow_headers")
        if header in ALWAYS_REDACTED:
            raise InvalidSettingError(f"The values of {header} are never shown.", field="redact_allow_headers")
    if len(headers) > MAX_SHOWN_HEADERS:
        raise InvalidSettingError(f"Should have at most {MAX_SHOWN_HEADERS} headers.", field="redact_allow_headers")
    return headers


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What the first start creates; shown once."""

    workspace: str
    admin_username: str
    admin_password: str
    api_key: str


@transaction.atomic
def set_up_first_run(*, admin_password: str) -> FirstRun | None:
    """Create the first workspace, administrator and API key. Returns None if a workspace exists already."""
    if Workspace.objects.exists():
        return None
    workspace = create_workspace(slug="default", name="Default")
    administrator = get_user_model().objects.create_superuser("admin", password=admin_password)
    Membership.objects.create(workspace=workspace, user=administrator, role=Role.OWNER)
    issued = issue_key(workspace=workspace, name="First key", scopes=Scope.values, actor=Actor.of_user(administrator))
    return FirstRun(workspace.slug, administrator.get_username(), admin_password, issued.key)
