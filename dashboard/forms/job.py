"""The whole form: its sections, the job object that it makes, and the placement of the serializer's errors."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.forms import BoundField
from unfold import widgets

from accounts.models import Workspace
from dashboard.forms.callback import CallbackPart, shown_callback
from dashboard.forms.fields import api_default, area, comma_separated, local_time, number, text, to_text, value_at
from dashboard.forms.overrides import OverridesForm
from dashboard.forms.request import RequestPart
from dashboard.forms.retry import RetryPart
from dashboard.forms.rows import RowList
from dashboard.forms.schedule import SchedulePart
from dashboard.forms.sections import SECTIONS, FormLine, FormSection, lines_of
from dashboard.forms.success import ASSERTIONS, PREFIX, SuccessPart
from dashboard.forms.webhook import CONDITIONS, CONDITIONS_PREFIX, WebhookPart
from dashboard.forms.workflow import WorkflowForm
from dashboard.forms.workflow.cards import Problem
from jobs.definition.calls import WORKFLOW
from jobs.definition.overrides import shared
from jobs.definition.webhook import NO_WEBHOOK
from jobs.models import Job, Kind
from jobs.schedule import display_zone
from jobs.services.retry_policies import RULES
from jobs.validation.callback import without_short_form
from jobs.validation.representation import represent_definition, represent_overrides


class IdentityPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {
        "name": "name",
        "slug": "slug",
        "description": "description",
        "tags": "tags",
        "environments": "environments",
    }

    name = text(required=True, maxlength=200)
    slug = text(help_text="The job's name in the API. Leave empty to derive it from the name.", maxlength=100)
    description = area(rows=2, mono=False)
    tags = text(help_text="Separated by commas.")
    environments = forms.MultipleChoiceField(
        required=False, label="Enabled in", widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget()
    )

    def clean_tags(self) -> list[str]:
        return comma_separated(self.cleaned_data["tags"])


class RetentionPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {"keep_last": "retention.keep_last", "keep_days": "retention.keep_days"}

    keep_last = number(
        label="Executions to keep", help_text="The number of latest executions, and of latest failures, to keep."
    )
    keep_days = number(
        label="Days to keep", help_text="Also keep all executions of this many days. Leave empty for none."
    )


class JobForm(
    IdentityPart, SchedulePart, RequestPart, SuccessPart, RetryPart, WebhookPart, CallbackPart, RetentionPart
):
    """A job as text fields. `definition()` is the API's job object, `show_errors()` takes the serializer's errors.

    An unchanged field keeps its value exactly, even one that a browser could not send back.
    """

    #: The dotted path of each field in the API's job object.
    PATHS: ClassVar[dict[str, str]] = {
        **IdentityPart.PATHS,
        **SchedulePart.PATHS,
        **RequestPart.PATHS,
        **SuccessPart.PATHS,
        **RetryPart.PATHS,
        **WebhookPart.PATHS,
        **CallbackPart.PATHS,
        **RetentionPart.PATHS,
    }

    def __init__(
        self, *args: Any, workspace: Workspace, job: Job | None = None, kind: str | None = None, **options: Any
    ) -> None:
        """`kind` is chosen at first in the form of a new job."""
        config = job.current_version.config if job and job.current_version else {}
        self.base = copy.deepcopy(without_short_form(shared(config)))
        if self.base:
            self.base["callback"] = shown_callback(self.base.get("callback"))
            self.base["webhook"] = self.base.get("webhook") or copy.deepcopy(NO_WEBHOOK)
        self.slugs = list(workspace.environments.order_by("created_at", "id").values_list("slug", "name"))
        rows = job.job_environments.select_related("environment") if job else []
        self.enabled_before = {row.environment.slug: row.enabled for row in rows}
        overrides_before = {row.environment.slug: represent_overrides(config, row.environment_id) for row in rows}
        options.setdefault("initial", self._initial(job))
        super().__init__(*args, **options)
        policies = workspace.retry_policies.order_by("name").values_list("slug", "name")
        self.fields["policy"].choices = [("", "None: use the rules below"), *policies]  # type: ignore[attr-defined]
        self.fields["environments"].choices = self.slugs  # type: ignore[attr-defined]
        sent = self.data if self.is_bound else None
        assertions = value_at(self.base, "success.assertions") or []
        self._assertion_list = RowList(ASSERTIONS, sent, prefix=PREFIX, before=assertions)
        conditions = value_at(self.base, "webhook.if") or []
        self._condition_list = RowList(CONDITIONS, sent, prefix=CONDITIONS_PREFIX, before=conditions)
        self.assertions, self.conditions = self._assertion_list.rows, self._condition_list.rows
        self.kind = self._kind(kind)
        steps = represent_definition(self.base)[WORKFLOW] if self._has_steps and self.base else None
        self.workflow = WorkflowForm(sent, before=steps, policies=list(policies))
        self.overrides = {
            slug: OverridesForm(
                sent, slug=slug, base=self.base, before=overrides_before.get(slug, {}), of_workflow=self._has_steps
            )
            for slug, _ in self.slugs
        }

    def _kind(self, suggested: str | None) -> str:
        """Return the kind of the job; a new one's is chosen in the form."""
        if self.base:
            return str(self.base["kind"])
        chosen = self.data.get("kind") if self.is_bound else suggested
        return WORKFLOW if chosen == WORKFLOW else Kind.HTTP.value

    @property
    def _has_steps(self) -> bool:
        return self.kind == WORKFLOW

    def _initial(self, job: Job | None) -> dict[str, Any]:
        if job is None:
            return {**DEFAULTS, "method": "GET", "environments": [slug for slug, _ in self.slugs[:1]]}
        flat = {field: to_text(field, value_at(self.base, path)) for field, path in self.PATHS.items()}
        zone = display_zone(self.base["timezone"])
        times = {field: flat[field] and local_time(flat[field], zone) for field in self.LOCAL_TIMES}
        enabled = [slug for slug, enabled in self.enabled_before.items() if enabled]
        return {**flat, **times, "slug": job.slug, "environments": enabled}

    def full_clean(self) -> None:
        """Ignore the fields of one call in a workflow, where the page hides them."""
        super().full_clean()
        if self._has_steps:
            for name in self.errors.keys() & OF_CALLS:
                del self.errors[name]

    def is_valid(self) -> bool:
        calls = self.workflow if self._has_steps else self.assertions
        parts = (calls.is_valid(), self.conditions.is_valid())
        return all([super().is_valid(), *parts, *(form.is_valid() for form in self.overrides.values())])

    # -- the API's job object ------------------------------------------------------------------------------------------

    def definition(self) -> dict[str, Any]:
        """The API's job object: the changed fields over the job's definition, without empty and invalid ones."""
        definition = {**copy.deepcopy(self.base), "kind": self.kind}
        for field in self._changed_fields():
            _put(definition, self.PATHS[field], self.cleaned_data[field], keep_null=field in _NULLABLE)
        if self._has_steps:
            definition["workflow"] = self.workflow.definition()
        else:
            definition.setdefault("success", {})["assertions"] = self._assertion_list.items()
        definition.setdefault("webhook", {})["if"] = self._condition_list.items()
        if not value_at(definition, "callback.url"):
            definition["callback"] = None
        if not self._has_steps and (policy := self.cleaned_data.get("policy")):
            # The policy replaces the rules. A rule that was changed here is sent too, for the serializer to reject.
            retry = definition["retry"]
            own = {rule: retry[rule] for rule in RULES if rule in self.changed_data and rule in retry}
            definition["retry"] = {"policy": policy, **own}
        chosen = set(self.cleaned_data.get("environments", ()))
        overrides = {slug: form.sparse() for slug, form in self.overrides.items()}
        definition["environments"] = {
            slug: {"enabled": slug in chosen, "overrides": sparse}
            for slug, sparse in sorted(overrides.items())
            if sparse or slug in chosen or slug in self.enabled_before
        }
        return definition

    def _changed_fields(self) -> list[str]:
        """All fields of a new job; else those changed, and local times whose time zone was changed."""
        changed = set(self.changed_data)
        if "timezone" in changed:
            changed.update(self.LOCAL_TIMES)
        changed -= self.errors.keys()
        return [
            field
            for field in self.PATHS
            if field in self.cleaned_data
            and field != "environments"
            and (not self.base or field in changed)
            and not (self._has_steps and field in OF_CALLS)
        ]

    # -- errors --------------------------------------------------------------------------------------------------------

    def show_errors(self, errors: Iterable[tuple[str, str]]) -> None:
        """Put errors of the API's serializer, as (dotted path, text), beside their fields.

        A field that the form could not read has an error already.
        """
        invalid = set(self.errors)
        for path, detail in errors:
            if f"{path}.".startswith("success.assertions."):
                self._assertion_list.show_error(path.split(".")[2:], detail)
                continue
            if f"{path}.".startswith("webhook.if."):
                self._condition_list.show_error(path.split(".")[2:], detail)
                continue
            if self._has_steps and f"{path}.".startswith(f"{WORKFLOW}."):
                self.workflow.show_error(path.removeprefix(WORKFLOW).removeprefix("."), detail)
                continue
            slug, _, within = path.removeprefix("environments.").partition(".overrides")
            if path.startswith("environments.") and slug in self.overrides:
                self.overrides[slug].show_error(within.removeprefix("."), detail)
                continue
            field = next((name for name, own in self.PATHS.items() if f"{path}.".startswith(f"{own}.")), None)
            if field in invalid:
                continue
            if field is None:
                self.add_error(None, f"{path}: {detail}" if path else detail)
            else:
                self.add_error(field, detail)

    @property
    def error_count(self) -> int:
        count = sum(len(part.errors) for part in (self, *self._parts)) + len(self.workflow_problems)
        return count + len(self.assertions.non_form_errors()) + len(self.conditions.non_form_errors())

    @property
    def workflow_problems(self) -> list[Problem]:
        """The errors within the workflow."""
        return list(self.workflow.problems) if self._has_steps else []

    @property
    def invalid_fields(self) -> Iterator[BoundField]:
        """The fields with errors in the order of the page, assertions and overrides last."""
        for form in (self, *self._parts):
            yield from (field for field in form if field.errors)

    @property
    def _parts(self) -> list[forms.Form]:
        """The forms within this one, if it is bound."""
        return [*self.assertions.forms, *self.conditions.forms, *self.overrides.values()] if self.is_bound else []

    # -- the page ------------------------------------------------------------------------------------------------------

    @property
    def sections(self) -> Iterator["ShownSection"]:
        for section in SECTIONS:
            if self.base and section.kind not in ("", self.kind):
                continue
            yield ShownSection(
                section,
                lines_of(self, section.fields),
                lines_of(self, section.advanced),
                any(self._is_set(name) for name in section.advanced),
            )

    def _is_set(self, name: str) -> bool:
        """True for a field with an error, or with another value than the API's default."""
        field = self[name]
        value = field.data if self.is_bound else field.initial
        return bool(field.errors) or self.fields[name].has_changed(DEFAULTS[name], value)


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section with its bound fields. `opened`: its advanced fields are unfolded."""

    section: FormSection
    lines: list[FormLine]
    advanced: list[FormLine]
    opened: bool


#: Empty fields that are null; other empty fields are left out, and get the API's default.
_NULLABLE = frozenset(
    {
        "schedule", "body", "ca_cert", "client_cert", "delays_ms", "policy", "starts_at", "ends_at", "concurrency",
        "keep_days", "webhook_secret", "webhook_header",
    }
)  # fmt: skip
#: The fields of one call, which workflows have in their steps.
OF_CALLS = frozenset(
    field for field, path in JobForm.PATHS.items() if path.partition(".")[0] in ("request", "success", "retry")
)
#: The API's defaults as the contents of fields.
DEFAULTS: dict[str, Any] = {
    field: to_text(field, api_default(path)) for field, path in JobForm.PATHS.items() if field != "environments"
}


def _put(definition: dict[str, Any], path: str, value: Any, *, keep_null: bool) -> None:
    *parents, last = path.split(".")
    section = definition
    for parent in parents:
        section = section.setdefault(parent, {})
    if (value is None and not keep_null) or (last == "slug" and not value):
        section.pop(last, None)
    else:
        section[last] = value
