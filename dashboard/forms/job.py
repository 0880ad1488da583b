"""The whole form: its parts, what it makes of them, and where the validator's errors are told."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.forms import BoundField
from unfold import widgets

from accounts.models import Workspace
from dashboard.forms.fields import api_default, area, listed, number, spell, text, value_at, wall_time
from dashboard.forms.overrides import OverridesForm
from dashboard.forms.request import RequestPart
from dashboard.forms.retry import RetryPart
from dashboard.forms.schedule import SchedulePart
from dashboard.forms.sections import SECTIONS, FormLine, FormSection, lines_of
from dashboard.forms.success import PREFIX, AssertionRows, SuccessPart, spelled_assertion
from jobs.definition.overrides import shared
from jobs.models import Job
from jobs.schedule import zone_to_show
from jobs.services.retry_policies import RULES
from jobs.validation.representation import shown_overrides


class IdentityPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {
        "name": "name",
        "slug": "slug",
        "description": "description",
        "tags": "tags",
        "environments": "environments",
    }

    name = text(required=True, maxlength=200)
    slug = text(help_text="How the API names the job. Left empty, it is made from the name.", maxlength=100)
    description = area(rows=2, mono=False)
    tags = text(help_text="Separated by commas.")
    environments = forms.MultipleChoiceField(
        required=False, label="Enabled in", widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget()
    )

    def clean_tags(self) -> list[str]:
        return listed(self.cleaned_data["tags"])


class RetentionPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {"keep_last": "retention.keep_last", "keep_days": "retention.keep_days"}

    keep_last = number(label="Executions to keep", help_text="So many of its latest stay, and so many of its failures.")
    keep_days = number(label="Days to keep", help_text="All of the last so many days stay besides. Empty: none.")


class JobForm(IdentityPart, SchedulePart, RequestPart, SuccessPart, RetryPart, RetentionPart):
    """A job as text fields. `definition()` is the API's job object, `show_errors()` takes the errors of that one.

    What nobody touched keeps its value exactly, even one that a browser could not send back.
    """

    #: Where each field of the form stands in the API's job object.
    PATHS: ClassVar[dict[str, str]] = {
        **IdentityPart.PATHS,
        **SchedulePart.PATHS,
        **RequestPart.PATHS,
        **SuccessPart.PATHS,
        **RetryPart.PATHS,
        **RetentionPart.PATHS,
    }

    def __init__(self, *args: Any, workspace: Workspace, job: Job | None = None, **options: Any) -> None:
        config = job.current_version.config if job and job.current_version else {}
        self.base = copy.deepcopy(shared(config))
        self.slugs = list(workspace.environments.order_by("created_at", "id").values_list("slug", "name"))
        rows = job.job_environments.select_related("environment") if job else []
        self.enabled_before = {row.environment.slug: row.enabled for row in rows}
        overrides = {row.environment.slug: shown_overrides(config, row.environment_id) for row in rows}
        options.setdefault("initial", self._initial(job))
        super().__init__(*args, **options)
        policies = workspace.retry_policies.order_by("name").values_list("slug", "name")
        self.fields["policy"].choices = [("", "None: the rules below"), *policies]  # type: ignore[attr-defined]
        self.fields["environments"].choices = self.slugs  # type: ignore[attr-defined]
        self.assertions_before = value_at(self.base, "success.assertions") or []
        self.assertions = AssertionRows(
            self.data if self.is_bound else None,
            initial=[spelled_assertion(written) for written in self.assertions_before],
            prefix=PREFIX,
        )
        self.places = {
            slug: OverridesForm(
                self.data if self.is_bound else None, slug=slug, base=self.base, before=overrides.get(slug, {})
            )
            for slug, _ in self.slugs
        }

    def _initial(self, job: Job | None) -> dict[str, Any]:
        if job is None:
            return {**DEFAULTS, "method": "GET", "environments": [slug for slug, _ in self.slugs[:1]]}
        flat = {field: spell(field, value_at(self.base, path)) for field, path in self.PATHS.items()}
        zone = zone_to_show(self.base["timezone"])
        walls = {field: flat[field] and wall_time(flat[field], zone) for field in self.WALL_TIMES}
        enabled = [slug for slug, enabled in self.enabled_before.items() if enabled]
        return {**flat, **walls, "slug": job.slug, "environments": enabled}

    def is_valid(self) -> bool:
        return all(
            [super().is_valid(), self.assertions.is_valid(), *(place.is_valid() for place in self.places.values())]
        )

    # -- the API's job object ------------------------------------------------------------------------------------------

    def definition(self) -> dict[str, Any]:
        """The API's job object: what was touched, over what the job says already. What is left empty is left out, and
        what can't be read too.
        """
        definition = copy.deepcopy(self.base)
        for field in self._touched():
            _put(definition, self.PATHS[field], self.cleaned_data[field], keep_null=field in _NULLABLE)
        self._sent_rows = [row for row in self._kept_rows() if not row.errors]
        definition.setdefault("success", {})["assertions"] = [self._written(row) for row in self._sent_rows]
        if policy := self.cleaned_data.get("policy"):
            # The policy's rules come with it. A rule that somebody wrote here besides is told to be in vain.
            written = definition["retry"]
            own = {rule: written[rule] for rule in RULES if rule in self.changed_data and rule in written}
            definition["retry"] = {"policy": policy, **own}
        chosen = set(self.cleaned_data.get("environments", ()))
        overrides = {slug: place.sparse() for slug, place in self.places.items()}
        definition["environments"] = {
            slug: {"enabled": slug in chosen, "overrides": sparse}
            for slug, sparse in sorted(overrides.items())
            if sparse or slug in chosen or slug in self.enabled_before
        }
        return definition

    def _touched(self) -> list[str]:
        """The fields to write: all of a new job, else those that were changed, or that mean something else now."""
        changed = set(self.changed_data)
        if "timezone" in changed:
            changed.update(self.WALL_TIMES)
        changed -= self.errors.keys()
        return [
            field
            for field in self.PATHS
            if field in self.cleaned_data and field != "environments" and (not self.base or field in changed)
        ]

    def _kept_rows(self) -> list[Any]:
        return [
            row
            for row in self.assertions.forms
            if row not in self.assertions.deleted_forms and (row.has_changed() or self._assertion_before(row))
        ]

    def _written(self, row: Any) -> dict[str, Any]:
        before = self._assertion_before(row)
        written: dict[str, Any] = row.written if before is None or row.has_changed() else before
        return written

    def _assertion_before(self, row: Any) -> dict[str, Any] | None:
        index = self.assertions.forms.index(row)
        return self.assertions_before[index] if index < len(self.assertions_before) else None

    # -- what is wrong -------------------------------------------------------------------------------------------------

    def show_errors(self, errors: Iterable[tuple[str, str]]) -> None:
        """Put errors of the API's validator, as (dotted field, text), beside the fields that they mean.

        A field that could not be read says so already.
        """
        unread = set(self.errors)
        for path, told in errors:
            if f"{path}.".startswith("success.assertions."):
                self._show_assertion_error(path.split(".")[2:], told)
                continue
            slug, _, within = path.removeprefix("environments.").partition(".overrides")
            if path.startswith("environments.") and slug in self.places:
                self.places[slug].show_error(within.removeprefix("."), told)
                continue
            field = next((name for name, known in self.PATHS.items() if f"{path}.".startswith(f"{known}.")), None)
            if field in unread:
                continue
            if field is None:
                self.add_error(None, f"{path}: {told}" if path else told)
            else:
                self.add_error(field, told)

    def _show_assertion_error(self, path: list[str], told: str) -> None:
        """`path` is the place in the list, then the field of the assertion; nothing where the list itself is wrong."""
        if not path:
            self.assertions.non_form_errors().append(told)
            return
        row = self._sent_rows[int(path[0])]
        row.add_error(path[1] if len(path) > 1 and path[1] in row.fields else "type", told)

    @property
    def error_count(self) -> int:
        found = sum(len(part.errors) for part in (self, *self._parts))
        return found + len(self.assertions.non_form_errors())

    @property
    def wrong_fields(self) -> Iterator[BoundField]:
        """The fields that something is wrong with, in the order of the page, assertions after the others."""
        for form in (self, *self._parts):
            yield from (field for field in form if field.errors)

    @property
    def _parts(self) -> list[forms.Form]:
        """The forms within this one, once something was sent."""
        return [*self.assertions.forms, *self.places.values()] if self.is_bound else []

    # -- the page ------------------------------------------------------------------------------------------------------

    @property
    def sections(self) -> Iterator["ShownSection"]:
        for section in SECTIONS:
            yield ShownSection(
                section,
                lines_of(self, section.fields),
                lines_of(self, section.advanced),
                any(self._says_something(name) for name in section.advanced),
            )

    def _says_something(self, name: str) -> bool:
        """If a field is wrong, or is not what the API takes for one that is left out."""
        field = self[name]
        value = field.data if self.is_bound else field.initial
        return bool(field.errors) or self.fields[name].has_changed(DEFAULTS[name], value)


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section with its fields as they stand. `opened`: what is folded away should be seen."""

    section: FormSection
    lines: list[FormLine]
    advanced: list[FormLine]
    opened: bool


#: Empty, these are null; others that are empty are left out, and become the API's default.
_NULLABLE = frozenset(
    {
        "schedule", "body", "ca_cert", "client_cert", "delays_ms", "policy", "starts_at", "ends_at", "concurrency",
        "keep_days",
    }
)  # fmt: skip
#: What a field says that says nothing of its own.
DEFAULTS: dict[str, Any] = {
    field: spell(field, api_default(path)) for field, path in JobForm.PATHS.items() if field != "environments"
}


def _put(definition: dict[str, Any], path: str, value: Any, *, keep_null: bool) -> None:
    *parents, last = path.split(".")
    place = definition
    for parent in parents:
        place = place.setdefault(parent, {})
    if (value is None and not keep_null) or (last == "slug" and not value):
        place.pop(last, None)
    else:
        place[last] = value
