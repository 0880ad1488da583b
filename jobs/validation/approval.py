"""Who may approve a step of a workflow, and what they fill in."""

import re
from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.models import Membership, Scope, Workspace
from accounts.roles import SCOPES_OF_ROLES
from core.validation.fields import BoundedList, Choice, Flag, Text
from core.validation.strict import StrictSerializer

MAX_APPROVERS = 50
MAX_FORM_FIELDS = 20
MAX_OPTIONS = 50
FIELD_TYPES = ("text", "number", "boolean", "choice")
#: The roles that may run jobs, and so approve.
APPROVING_ROLES = tuple(role for role, scopes in SCOPES_OF_ROLES.items() if Scope.EXECUTIONS_WRITE in scopes)
_ROLE, _USER = "role:", "user:"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Approver(Text):
    """A role or a member of the workspace, as `role:NAME` or `user:USERNAME`."""

    def to_internal_value(self, data: Any) -> str:
        approver = super().to_internal_value(data)
        roles = [f"{_ROLE}{role}" for role in APPROVING_ROLES]
        if not approver.startswith(_USER) and approver not in roles:
            raise ValidationError(f"Should be one of {', '.join(roles)}, or user:USERNAME.", code="invalid_choice")
        return approver


def check_approvers(approvers: list[str], required: int, workspace: Workspace) -> None:
    """Raises ValidationError for people who are no members, and where fewer people are named than are required."""
    usernames = {approver.removeprefix(_USER) for approver in approvers if approver.startswith(_USER)}
    if not usernames:
        return
    members = Membership.objects.filter(workspace=workspace, user__username__in=usernames)
    unknown = usernames - set(members.values_list("user__username", flat=True))
    errors: dict[str, Any] = {
        "approvers": {
            index: [ErrorDetail("There is no such member of the workspace.", code="unknown_user")]
            for index, approver in enumerate(approvers)
            if approver.removeprefix(_USER) in unknown
        }
    }
    if not unknown:
        errors = {}
        if len(usernames) == len(approvers) < required:
            problem = f"Only {len(approvers)} may approve: name more approvers, or require fewer."
            errors["required"] = [ErrorDetail(problem, code="conflicting")]
    if errors:
        raise ValidationError(errors)


class FormFieldSerializer(StrictSerializer):
    """A field of the form that who approves fills in."""

    name = Text(max_length=40, help_text="Its name in the result: a-z, 0-9 and _, a letter first.")
    label = Text(  # type: ignore[assignment]
        required=False, max_length=200, help_text="What people read beside it. Default: the name."
    )
    type = Choice(choices=FIELD_TYPES, default="text", help_text="What it takes; `choice` takes one of `options`.")
    required = Flag(default=False, help_text="Whether an approval needs it.")  # type: ignore[assignment]
    options = BoundedList(
        child=Text(max_length=200),
        default=list,
        max_length=MAX_OPTIONS,
        help_text="The choices of `choice`; empty for other types.",
    )

    def validate_name(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValidationError("Should be a-z, 0-9 and _, a letter first.", code="invalid")
        return name

    def validate_options(self, options: list[str]) -> list[str]:
        return list(dict.fromkeys(options))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        is_choice = attrs["type"] == "choice"
        if is_choice and not attrs["options"]:
            raise ValidationError({"options": [ErrorDetail("A choice needs at least one.", code="required")]})
        if not is_choice and attrs["options"]:
            detail = ErrorDetail("Only for the type choice: leave it out.", code="conflicting")
            raise ValidationError({"options": [detail]})
        return {**attrs, "label": attrs.get("label", attrs["name"])}


def repeated_names(form: list[dict[str, Any]]) -> dict[int, Any]:
    """Return errors, by index, for fields whose name an earlier field has."""
    seen: set[str] = set()
    errors: dict[int, Any] = {}
    for index, field in enumerate(form):
        if field["name"] in seen:
            errors[index] = {"name": [ErrorDetail("Another field has this name.", code="repeated")]}
        seen.add(field["name"])
    return errors
