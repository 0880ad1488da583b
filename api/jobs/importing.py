"""Import of many jobs from a file. Each job is validated on its own: valid ones are saved though others fail."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Environment, Scope
from accounts.usage import refuse_when_stopped
from api.base.parsing import json_value, refuse_unstorable, why_no_json
from api.base.problems import field_errors
from api.base.views import MAX_DEFINITION_BYTES, ApiView
from api.jobs.duplicates import Duplicate, Duplicates
from api.jobs.import_fields import (
    CREATED,
    FAILED,
    MAX_JOBS,
    RESULTS,
    UNCHANGED,
    UPDATED,
    ImportedSerializer,
    ImportSerializer,
)
from api.jobs.lookups import environment_named, reachable_jobs, refuse_foreign_change
from api.jobs.planning import changed_fields, planned_firings, refuse_changed, revision_of
from api.jobs.serializers import JobSerializer, save_validated
from core.errors import HourhandError
from jobs.egress import InvalidUrl, parse_target
from jobs.errors import SlugTakenError
from jobs.imports import FORMATS, Item, Options, ReadError
from jobs.models import Job
from jobs.schedule import ScheduleError, parse_timezone
from jobs.services.create import Draft, create_jobs
from jobs.services.limits import TooManyActiveJobsError, active_jobs, active_jobs_limit, hold_active_jobs
from jobs.services.save import EnvironmentChange
from jobs.slugs import JOB_SLUGS


@dataclass(slots=True)
class _ItemOutcome:
    """The result of one item. `serializer` is valid unless the item failed."""

    item: Item
    slug: str | None = None
    result: str = FAILED
    serializer: JobSerializer | None = None
    revision: str | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    firings: dict[str, Any] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fail(self, error: APIException | HourhandError) -> None:
        self.result = FAILED
        if isinstance(error, HourhandError):
            self.errors = [{"field": error.field, "code": error.code, "detail": error.detail}]
        else:
            self.errors = list(field_errors(error.detail))

    def represent(self, index: int) -> dict[str, Any]:
        return {
            "index": index,
            **({} if self.item.line is None else {"line": self.item.line}),
            "slug": self.slug,
            "result": self.result,
            "revision": self.revision,
            "changes": self.changes,
            "firings": self.firings,
            "notes": [*self.item.notes, *self.notes],
            "errors": self.errors,
        }


class JobImport(ApiView):
    """Up to MAX_JOBS jobs, each with a result of its own: generic views save all of a body or nothing."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    max_body_bytes = MAX_DEFINITION_BYTES
    needs_quota = frozenset({"post"})

    @extend_schema(
        operation_id="jobs_import",
        summary="Import jobs from a crontab, JSON, YAML or another scheduler's file",
        description="At most 1,000 jobs per request. Each is saved as by `PUT` with its slug, or one derived from its "
        "name. An item with only a schedule and a request, such as a line of a crontab, matches an existing job with "
        "the same ones, whatever its name.",
        request=ImportSerializer,
        responses=ImportedSerializer,
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(request, ImportSerializer)
        slug = body.get("environment")
        environment = environment_named(self.access, slug) if slug is not None else None
        items = _managed(_items(body["format"], body["content"], _options(body)), body)
        with transaction.atomic():
            outcomes = self._validate_all(items, environment, body.get("revisions", {}))
            self._refuse_beyond_plan(outcomes)
            if body["dry_run"]:
                self._plan(outcomes)
            else:
                self._save(outcomes)
        counts = {result: sum(outcome.result == result for outcome in outcomes) for result in RESULTS}
        return Response({**counts, "items": [outcome.represent(index) for index, outcome in enumerate(outcomes)]})

    def _validate_all(
        self, items: Sequence[Item], environment: Environment | None, revisions: Mapping[str, str | None]
    ) -> list[_ItemOutcome]:
        slugs, duplicates = _slugs(items), Duplicates(self.access, items, now=self.now)
        duplicate_of = duplicates.of_items(items, slugs)
        free_slugs = self._free_slugs(items, slugs, duplicate_of)
        outcomes = [_ItemOutcome(item, slug) for item, slug in zip(items, free_slugs, strict=True)]
        named_slugs = {outcome.slug for outcome in outcomes if outcome.slug is not None} | revisions.keys()
        named = reachable_jobs(self.access).filter(slug__in=named_slugs).order_by("pk")
        existing = {job.slug: job for job in named.select_for_update(of=("self",))}
        taken = set(
            Job.objects.of(self.access.workspace).live().filter(slug__in=named_slugs).values_list("slug", flat=True)
        )
        refuse_changed(revisions, existing, taken=taken)
        enabled_in = [environment] if environment else self.access.environments()[:1]
        environments = list(self.access.workspace.environments.all())
        template = JobSerializer(context={**self.get_serializer_context(), "environments": environments})
        seen: set[str] = set()
        for index, outcome in enumerate(outcomes):
            job = existing.get(outcome.slug or "")
            outcome.revision = revision_of(job) if job is not None else None
            try:
                if index in duplicate_of and duplicate_of[index].identical:
                    _set_unchanged(outcome, duplicate_of[index].job)
                    continue
                if outcome.slug is not None and outcome.slug not in existing and outcome.slug in taken:
                    raise SlugTakenError(outcome.slug)
                self._validate(outcome, job, enabled_in, template)
                if outcome.slug in seen:
                    raise _invalid("slug", "Another job in this file has the same slug.", "repeated")
                seen.add(outcome.slug or "")
                same_calls = duplicates.of_call(outcome.item) if outcome.item.whole else ()
                if outcome.result == CREATED and same_calls:
                    outcome.notes.append(f"The job {same_calls[0].slug} already makes the same call at the same times.")
            except (APIException, HourhandError) as error:
                outcome.fail(error)
        return outcomes

    def _free_slugs(
        self, items: Sequence[Item], slugs: Sequence[str | None], duplicate_of: Mapping[int, Duplicate]
    ) -> list[str | None]:
        """Each item's slug: that of the job it duplicates; else its own or one derived from its name, kept unique."""
        free = [duplicate_of[index].job.slug if index in duplicate_of else slug for index, slug in enumerate(slugs)]
        claimed = {duplicate.job.slug for duplicate in duplicate_of.values()}
        clashing = [index for index, slug in enumerate(slugs) if index not in duplicate_of and slug in claimed]
        clashing = [index for index in clashing if not _text(items[index], "slug")]
        if clashing:
            used = set(Job.objects.of(self.access.workspace).live().values_list("slug", flat=True))
            used.update(slug for slug in free if slug)
            for index in clashing:
                free[index] = JOB_SLUGS.make(_text(items[index], "name") or "", taken=used)
                used.add(free[index] or "")
        return free

    def _validate(
        self, outcome: _ItemOutcome, job: Job | None, environments: Sequence[Environment], template: JobSerializer
    ) -> None:
        if outcome.item.definition is None:
            raise ValidationError([ErrorDetail(outcome.item.problem or "", code="unreadable")])
        refuse_unstorable(dict(outcome.item.definition))
        data = {**outcome.item.definition, **({} if outcome.slug is None else {"slug": outcome.slug})}
        if job is None and "environments" not in data:
            state = {} if outcome.item.enabled else {"enabled": False}
            data["environments"] = {environment.slug: state for environment in environments}
        serializer = JobSerializer(job, data=data, context=template.context, like=template)
        serializer.is_valid(raise_exception=True)
        if job is not None and serializer.changes_definition:
            refuse_foreign_change(self.access, job)
        outcome.serializer = serializer
        outcome.result = CREATED if job is None else UPDATED if serializer.changes_anything else UNCHANGED

    def _refuse_beyond_plan(self, outcomes: Iterable[_ItemOutcome]) -> None:
        """Fail jobs that would exceed the plan's number of active jobs: the first ones of the file are saved."""
        limit = active_jobs_limit(self.access.workspace)
        if limit is None:
            return
        hold_active_jobs(self.access.workspace)
        available = limit - active_jobs(self.access.workspace)
        for outcome in outcomes:
            if outcome.result != FAILED and outcome.serializer is not None and outcome.serializer.becomes_active:
                if available <= 0:
                    outcome.fail(TooManyActiveJobsError(limit))
                available -= 1

    def _plan(self, outcomes: Iterable[_ItemOutcome]) -> None:
        """Describe what saving would change."""
        for outcome in outcomes:
            if outcome.result in {CREATED, UPDATED} and outcome.serializer is not None:
                outcome.changes = changed_fields(outcome.serializer)
                outcome.firings = planned_firings(outcome.serializer, now=self.now)

    def _save(self, outcomes: Sequence[_ItemOutcome]) -> None:
        if any(outcome.result in {CREATED, UPDATED} for outcome in outcomes):
            refuse_when_stopped(self.access.workspace.pk, now=self.now)
        new = [outcome for outcome in outcomes if outcome.result == CREATED]
        try:
            with transaction.atomic():
                drafts = [_draft(outcome.serializer) for outcome in new if outcome.serializer]
                create_jobs(workspace=self.access.workspace, drafts=drafts, actor=self.access.actor, now=self.now)
        except (IntegrityError, HourhandError):
            # A concurrent request created one of them or deleted its policy: save each, and fail those alone.
            self._save_each(new)
        self._save_each(outcome for outcome in outcomes if outcome.result == UPDATED)

    def _save_each(self, outcomes: Iterable[_ItemOutcome]) -> None:
        for outcome in outcomes:
            assert outcome.serializer is not None
            try:
                with transaction.atomic():
                    save_validated(outcome.serializer, actor=self.access.actor)
            except HourhandError as error:
                outcome.fail(error)


def _set_unchanged(outcome: _ItemOutcome, job: Job) -> None:
    """Mark an item that duplicates a job: nothing changes, and a note says if the names differ."""
    outcome.result = UNCHANGED
    if job.name != _text(outcome.item, "name"):
        outcome.notes.append(f"The job {job.slug} already makes the same call at the same times; it keeps its name.")


def _options(body: Mapping[str, Any]) -> Options:
    """The options of the request. Raises ValidationError for one that the format does not have."""
    options = {name: body[name] for name in ("timezone", "base_url", "user_column") if body.get(name) is not None}
    for name in options:
        if name not in FORMATS[body["format"]].takes:
            raise _invalid(name, f"Not an option of the format {body['format']}.", "conflicting")
    if "base_url" in options:
        try:
            parse_target(options["base_url"])
        except InvalidUrl as error:
            raise _invalid("base_url", str(error), "invalid_url") from error
        if re.search("[?#]", options["base_url"]):
            raise _invalid("base_url", "Must not have a query or fragment.", "invalid_url")
    if "timezone" in options:
        try:
            parse_timezone(options["timezone"])
        except ScheduleError as error:
            raise _invalid("timezone", str(error), "invalid") from error
    return Options(**options)


def _items(kind: str, content: Any, options: Options) -> list[Item]:
    """The items of a file. Raises ValidationError if the file can't be parsed."""
    try:
        items = FORMATS[kind].read(_parsed(kind, content), options)
    except ReadError as error:
        raise _invalid("content", str(error), "unreadable") from error
    if len(items) > MAX_JOBS:
        raise _invalid("content", f"At most {MAX_JOBS} jobs per request; the file has {len(items)}.", "too_many")
    return items


def _managed(items: list[Item], body: Mapping[str, Any]) -> list[Item]:
    """Replace what the items say about who manages them, if the request says it."""
    if "managed_by" not in body:
        return items
    owner = {} if body["managed_by"] is None else {"managed_by": body["managed_by"]}

    def managed(definition: Mapping[str, Any]) -> dict[str, Any]:
        return {**{name: value for name, value in definition.items() if name != "managed_by"}, **owner}

    return [item if item.definition is None else replace(item, definition=managed(item.definition)) for item in items]


def _parsed(kind: str, content: Any) -> Any:
    """The parsed JSON of a file, or what its format parses from the text."""
    parse = FORMATS[kind].parse
    if isinstance(content, Mapping | list) and (parse is None or FORMATS[kind].takes_values):
        return content
    if not isinstance(content, str):
        raise ReadError("Must be the text of the file.")
    content = content.removeprefix("\ufeff")
    if parse is not None:
        return parse(content)
    try:
        return json_value(content)
    except RecursionError as error:
        raise ReadError("The JSON is nested too deeply.") from error
    except ValueError as error:
        raise ReadError(f"Not valid JSON: {why_no_json(error)}.") from error


def _slugs(items: Iterable[Item]) -> list[str | None]:
    """Each item's slug, or one derived from its name: deterministic for a file, numbered if names are equal."""
    items = list(items)
    used = {slug for item in items if (slug := _text(item, "slug"))}
    slugs: list[str | None] = []
    for item in items:
        slug, name = _text(item, "slug"), _text(item, "name")
        if slug is None and name is not None:
            slug = JOB_SLUGS.make(name, taken=used)
            used.add(slug)
        slugs.append(slug if slug and JOB_SLUGS.accepts(slug) else None)
    return slugs


def _text(item: Item, name: str) -> str | None:
    value = item.definition.get(name) if item.definition else None
    return value if isinstance(value, str) else None


def _draft(serializer: JobSerializer) -> Draft:
    valid = serializer.validated_data
    environments: list[EnvironmentChange] = valid["environments"]
    return Draft(valid["slug"], serializer.config, environments, serializer.managed_after)


def _invalid(name: str, text: str, code: str) -> ValidationError:
    return ValidationError({name: [ErrorDetail(text, code=code)]})
