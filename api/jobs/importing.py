"""Many jobs at once from a file: each is judged by itself, and good ones land though others fail."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Environment, Scope
from accounts.usage import refuse_when_stopped
from api.base.openapi import ProblemFieldSerializer
from api.base.parsing import json_value, refuse_unstorable, why_no_json
from api.base.problems import field_errors
from api.base.views import MAX_DEFINITION_BYTES, ApiView
from api.jobs import examples
from api.jobs.duplicates import Duplicate, Duplicates
from api.jobs.lookups import environment_named, reachable_jobs, refuse_foreign_change
from api.jobs.serializers import JobSerializer, save_validated
from core.errors import HourhandError
from core.validation.fields import Choice, Flag, Text, Whole
from core.validation.strict import StrictSerializer
from jobs.egress import InvalidUrl, parse_target
from jobs.errors import SlugTakenError
from jobs.imports import FORMATS, Item, Options, ReadError
from jobs.models import Job
from jobs.schedule import ScheduleError, parse_timezone
from jobs.services.create import Draft, create_jobs
from jobs.services.limits import TooManyActiveJobsError, active_jobs, active_jobs_limit, hold_active_jobs
from jobs.services.save import EnvironmentChange
from jobs.slugs import JOB_SLUGS

MAX_JOBS = 1000
CREATED, UPDATED, UNCHANGED, FAILED = RESULTS = ("created", "updated", "unchanged", "failed")


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "object", "additionalProperties": {}}]})
class Content(serializers.Field):
    """A file as text or, where its format is JSON, as what it says."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_serializer(examples=examples.IMPORT)
class ImportSerializer(StrictSerializer):
    format = Choice(choices=tuple(FORMATS), help_text="What the file is written in.")
    content = Content(
        help_text='The text of the file; where the format is JSON also what it says, as {"jobs": [...]} for `json`.'
    )
    timezone = Text(
        required=False,
        help_text="The time zone of what names none; left out, UTC. Not for `vercel`, `github` and `sidekiq`.",
    )
    base_url = Text(
        required=False, help_text="Where the paths of a `vercel` or `app_engine` file lead, as https://example.com."
    )
    user_column = Flag(
        required=False,
        allow_null=True,
        help_text="Whether a user stands before each command of a `crontab`, as in /etc/crontab; null or left out: "
        "where all lines have one and one of them is a system account, or a header names the column.",
    )
    dry_run = Flag(default=False, help_text="Only say what would be done.")
    environment = Text(required=False, help_text="Where new jobs are enabled that name no environment.")


class ImportErrorSerializer(ProblemFieldSerializer):
    """What is wrong with one field of a job."""


class ImportedItemSerializer(serializers.Serializer):
    index = Whole(help_text="The job's place in the file, from 0.")
    line = Whole(required=False, help_text="Its line in a crontab, from 1; other formats have none.")
    slug = Text(allow_null=True, help_text="Its own, or without one that of its name; null where that is no slug.")
    result = serializers.ChoiceField(choices=RESULTS, help_text="What became of it, or would have without `dry_run`.")
    notes = serializers.ListField(
        child=Text(), help_text="What of the original is not carried over, or which job it is already; mostly empty."
    )
    errors = ImportErrorSerializer(  # type: ignore[assignment]
        many=True, help_text="Why it `failed`; empty where it did not."
    )


@extend_schema_serializer(examples=examples.IMPORTED)
class ImportedSerializer(serializers.Serializer):
    created = Whole(help_text="How many jobs are new.")
    updated = Whole(help_text="How many were there, and are different now.")
    unchanged = Whole(help_text="How many were there, and said the same already.")
    failed = Whole(help_text="How many can't be saved: nothing of those was.")
    items = ImportedItemSerializer(many=True, help_text="What became of each job, in the order of the file.")


@dataclass(slots=True)
class _Judged:
    """What becomes of an item. `serializer` is valid unless it failed."""

    item: Item
    slug: str | None = None
    result: str = FAILED
    serializer: JobSerializer | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fail(self, error: APIException | HourhandError) -> None:
        self.result = FAILED
        if isinstance(error, HourhandError):
            self.errors = [{"field": error.field, "code": error.code, "detail": error.detail}]
        else:
            self.errors = list(field_errors(error.detail))

    def shown(self, index: int) -> dict[str, Any]:
        line = {} if self.item.line is None else {"line": self.item.line}
        told = {"result": self.result, "notes": [*self.item.notes, *self.notes], "errors": self.errors}
        return {"index": index, **line, "slug": self.slug, **told}


class JobImport(ApiView):
    """Up to MAX_JOBS jobs, each with a result of its own: generic views save all of a body or nothing."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    max_body_bytes = MAX_DEFINITION_BYTES
    needs_quota = frozenset({"post"})

    @extend_schema(
        operation_id="jobs_import",
        summary="Import jobs from a crontab, JSON, YAML or another scheduler's file",
        description="At most 1,000 jobs a call. Each is saved as by `PUT` under its slug, or one made of its name. "
        "What says only when to call what, as a line of a crontab, is the job that does so already, whatever its name.",
        request=ImportSerializer,
        responses=ImportedSerializer,
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(request, ImportSerializer)
        named = body.get("environment")
        environment = environment_named(self.access, named) if named is not None else None
        items = _items(body["format"], body["content"], _options(body))
        with transaction.atomic():
            judged = self._judge(items, environment)
            self._keep_to_plan(judged)
            if not body["dry_run"]:
                self._save(judged)
        counts = {result: sum(one.result == result for one in judged) for result in RESULTS}
        return Response({**counts, "items": [one.shown(index) for index, one in enumerate(judged)]})

    def _judge(self, items: Sequence[Item], environment: Environment | None) -> list[_Judged]:
        slugs, matches = _slugs(items), Duplicates(self.access, items, now=self.now)
        matched = matches.found(items, slugs)
        judged = [
            _Judged(item, slug) for item, slug in zip(items, self._free_slugs(items, slugs, matched), strict=True)
        ]
        named_slugs = {one.slug for one in judged if one.slug is not None}
        named = reachable_jobs(self.access).filter(slug__in=named_slugs).order_by("pk")
        existing = {job.slug: job for job in named.select_for_update(of=("self",))}
        taken = set(
            Job.objects.of(self.access.workspace).live().filter(slug__in=named_slugs).values_list("slug", flat=True)
        )
        reach = self.access.environments()
        context = {
            "workspace": self.access.workspace,
            "access": self.access,
            "now": self.now,
            "environments": list(self.access.workspace.environments.all()),
        }
        like = JobSerializer(context=context)
        seen: set[str] = set()
        for index, one in enumerate(judged):
            try:
                if index in matched and matched[index].same:
                    _keep(one, matched[index].job)
                    continue
                if one.slug is not None and one.slug not in existing and one.slug in taken:
                    raise SlugTakenError(one.slug)
                self._judge_one(one, existing.get(one.slug or ""), [environment] if environment else reach[:1], like)
                if one.slug in seen:
                    raise _wrong("slug", "Another job of this file has the same slug.", "repeated")
                seen.add(one.slug or "")
                if one.result == CREATED and one.item.whole and (alike := matches.like(one.item)):
                    one.notes.append(f"The job {alike[0].slug} calls the same at the same times already.")
            except (APIException, HourhandError) as error:
                one.fail(error)
        return judged

    def _free_slugs(
        self, items: Sequence[Item], slugs: Sequence[str | None], matched: Mapping[int, Duplicate]
    ) -> list[str | None]:
        """Each item's slug: that of the job that it is already, or of its name, if no other item is that job."""
        found = [matched[index].job.slug if index in matched else slug for index, slug in enumerate(slugs)]
        kept = {match.job.slug for match in matched.values()}
        clashing = [index for index, slug in enumerate(slugs) if index not in matched and slug in kept]
        clashing = [index for index in clashing if not _given(items[index], "slug")]
        if clashing:
            used = set(Job.objects.of(self.access.workspace).live().values_list("slug", flat=True))
            used.update(slug for slug in found if slug)
            for index in clashing:
                found[index] = JOB_SLUGS.make(_given(items[index], "name") or "", taken=used)
                used.add(found[index] or "")
        return found

    def _judge_one(self, one: _Judged, job: Job | None, places: Sequence[Environment], like: JobSerializer) -> None:
        if one.item.definition is None:
            raise ValidationError([ErrorDetail(one.item.problem or "", code="unreadable")])
        refuse_unstorable(dict(one.item.definition))
        data = {**one.item.definition, **({} if one.slug is None else {"slug": one.slug})}
        if job is None and "environments" not in data:
            state = {} if one.item.enabled else {"enabled": False}
            data["environments"] = {place.slug: state for place in places}
        serializer = JobSerializer(job, data=data, context=like.context, like=like)
        serializer.is_valid(raise_exception=True)
        if job is not None and serializer.changes_definition:
            refuse_foreign_change(self.access, job)
        one.serializer = serializer
        one.result = CREATED if job is None else UPDATED if serializer.changes_anything else UNCHANGED

    def _keep_to_plan(self, judged: Iterable[_Judged]) -> None:
        """Of the jobs that would become active only as many as the plan has places for: the first of the file."""
        limit = active_jobs_limit(self.access.workspace)
        if limit is None:
            return
        hold_active_jobs(self.access.workspace)
        places = limit - active_jobs(self.access.workspace)
        for one in judged:
            if one.result != FAILED and one.serializer is not None and one.serializer.becomes_active:
                if places <= 0:
                    one.fail(TooManyActiveJobsError(limit))
                places -= 1

    def _save(self, judged: Sequence[_Judged]) -> None:
        if any(one.result in {CREATED, UPDATED} for one in judged):
            refuse_when_stopped(self.access.workspace.pk, now=self.now)
        new = [one for one in judged if one.result == CREATED]
        try:
            with transaction.atomic():
                drafts = [_draft(one.serializer) for one in new if one.serializer]
                create_jobs(workspace=self.access.workspace, drafts=drafts, actor=self.access.actor, now=self.now)
        except (IntegrityError, HourhandError):
            # Somebody else made one of them, or took its policy away, just now: each finds out for itself.
            self._save_each(new)
        self._save_each(one for one in judged if one.result == UPDATED)

    def _save_each(self, judged: Iterable[_Judged]) -> None:
        for one in judged:
            assert one.serializer is not None
            try:
                with transaction.atomic():
                    save_validated(one.serializer, actor=self.access.actor)
            except HourhandError as error:
                one.fail(error)


def _keep(one: _Judged, job: Job) -> None:
    """An item that is a job already: nothing changes, and a name that differs is told."""
    one.result = UNCHANGED
    if job.name != _given(one.item, "name"):
        one.notes.append(f"The job {job.slug} calls the same at the same times already: it keeps its name.")


def _options(body: Mapping[str, Any]) -> Options:
    """What the caller says of the file. Raises ValidationError for what its format has no use for."""
    said = {name: body[name] for name in ("timezone", "base_url", "user_column") if body.get(name) is not None}
    for name in said:
        if name not in FORMATS[body["format"]].takes:
            raise _wrong(name, f"Means nothing for the format {body['format']}: leave it out.", "conflicting")
    if "base_url" in said:
        try:
            parse_target(said["base_url"])
        except InvalidUrl as error:
            raise _wrong("base_url", str(error), "invalid_url") from error
        if re.search("[?#]", said["base_url"]):
            raise _wrong("base_url", "Should end with the path, without a query.", "invalid_url")
    if "timezone" in said:
        try:
            parse_timezone(said["timezone"])
        except ScheduleError as error:
            raise _wrong("timezone", str(error), "invalid") from error
    return Options(**said)


def _items(kind: str, content: Any, options: Options) -> list[Item]:
    """What a file holds. Raises ValidationError for one that can't be read as a whole."""
    try:
        items = FORMATS[kind].read(_parsed(kind, content), options)
    except ReadError as error:
        raise _wrong("content", str(error), "unreadable") from error
    if len(items) > MAX_JOBS:
        raise _wrong("content", f"At most {MAX_JOBS} jobs a call; there are {len(items)}.", "too_many")
    return items


def _parsed(kind: str, content: Any) -> Any:
    """What a file says, or its text where the format is of its own."""
    parse = FORMATS[kind].parse
    if parse is None and isinstance(content, Mapping | list):
        return content
    if not isinstance(content, str):
        raise ReadError("Should be the text of the file.")
    content = content.removeprefix("\ufeff")
    if parse is not None:
        return parse(content)
    try:
        return json_value(content)
    except RecursionError as error:
        raise ReadError("It is nested too deep.") from error
    except ValueError as error:
        raise ReadError(f"This is no JSON: {why_no_json(error)}.") from error


def _slugs(items: Iterable[Item]) -> list[str | None]:
    """Each item's slug, or one made of its name: the same for the same file, numbered where names are the same."""
    items = list(items)
    used = {slug for item in items if (slug := _given(item, "slug"))}
    found: list[str | None] = []
    for item in items:
        slug, name = _given(item, "slug"), _given(item, "name")
        if slug is None and name is not None:
            slug = JOB_SLUGS.make(name, taken=used)
            used.add(slug)
        found.append(slug if slug and JOB_SLUGS.accepts(slug) else None)
    return found


def _given(item: Item, name: str) -> str | None:
    value = item.definition.get(name) if item.definition else None
    return value if isinstance(value, str) else None


def _draft(serializer: JobSerializer) -> Draft:
    valid = serializer.validated_data
    environments: list[EnvironmentChange] = valid["environments"]
    return Draft(valid["slug"], serializer.config, environments)


def _wrong(name: str, text: str, code: str) -> ValidationError:
    return ValidationError({name: [ErrorDetail(text, code=code)]})
