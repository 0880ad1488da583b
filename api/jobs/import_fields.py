"""The body of an import, and its result."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from api.base.openapi import ProblemFieldSerializer
from api.jobs import examples
from api.jobs.versions import ChangedFieldSerializer
from core.validation.fields import BoundedDict, Choice, Flag, Instant, Text, Whole
from core.validation.strict import StrictSerializer
from jobs.imports import FORMATS

MAX_JOBS = 1000
CREATED, UPDATED, UNCHANGED, FAILED = RESULTS = ("created", "updated", "unchanged", "failed")


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "object", "additionalProperties": {}}]})
class Content(serializers.Field):
    """A file as text or, in a JSON format, as a JSON value."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_serializer(examples=examples.IMPORT)
class ImportSerializer(StrictSerializer):
    format = Choice(choices=tuple(FORMATS), help_text="Format of the file.")
    content = Content(
        help_text='The text of the file or, for formats in JSON, its value, such as {"jobs": [...]} for `json`.'
    )
    timezone = Text(
        required=False,
        help_text="IANA time zone of jobs that name none. Default: UTC. Not for `vercel`, `github`, `sidekiq` and "
        "`arazzo`.",
    )
    base_url = Text(
        required=False,
        help_text="Base URL of the paths in a `vercel` or `app_engine` file, and of relative servers in the sources of "
        "an `arazzo` document, such as https://example.com.",
    )
    user_column = Flag(
        required=False,
        allow_null=True,
        help_text="Whether the lines of a `crontab` have a user column, as in /etc/crontab. Default, or null: yes if "
        "every line has one and at least one is a system account, or if a header names the column.",
    )
    dry_run = Flag(
        default=False,
        help_text="Report what an import would do, without saving, with `changes` and `firings` of each job.",
    )
    managed_by = Text(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Who applies these jobs from a file, whatever the file says. Null: what the file says does not count "
        "either, so that existing jobs keep theirs. Default: what the file says.",
    )
    revisions = BoundedDict(
        child=Text(allow_null=True),
        max_length=MAX_JOBS,
        required=False,
        help_text="Import only if these jobs, by slug, still have the `revision` of an earlier dry run; null: there is "
        "no such job. Else 409, `jobs` names the changed ones, and nothing is saved.",
    )
    environment = Text(
        required=False,
        help_text="Slug of the environment in which new jobs without `environments` are enabled. Default: the oldest.",
    )


class FiringsSerializer(serializers.Serializer):
    """The next firings of a job in an environment, without jitter."""

    before = serializers.ListField(child=Instant(), help_text="As the job is: at most 5.")
    after = serializers.ListField(child=Instant(), help_text="After the import: at most 5.")


class ImportErrorSerializer(ProblemFieldSerializer):
    """One invalid field of a job."""


class ImportedItemSerializer(serializers.Serializer):
    index = Whole(help_text="Position of the job in the file, from 0.")
    line = Whole(required=False, help_text="Line number in a crontab, from 1; absent in other formats.")
    slug = Text(allow_null=True, help_text="The job's slug, given or derived from its name; null if it is invalid.")
    result = serializers.ChoiceField(
        choices=RESULTS, help_text="What the import did with the job, or would do without `dry_run`."
    )
    revision = Text(
        allow_null=True,
        help_text="A text that changes with the job, of the job before the import; null if there was none.",
    )
    changes = ChangedFieldSerializer(
        many=True, help_text="The fields that a dry run would change in an existing job, with long values cut."
    )
    firings = serializers.DictField(
        child=FiringsSerializer(),
        help_text="The next firings by environment, of a job that a dry run would create or change.",
    )
    notes = serializers.ListField(
        child=Text(), help_text="What is not imported from the original, or which job it duplicates."
    )
    errors = ImportErrorSerializer(  # type: ignore[assignment]
        many=True, help_text="Why it `failed`; else empty."
    )


@extend_schema_serializer(examples=examples.IMPORTED)
class ImportedSerializer(serializers.Serializer):
    created = Whole(help_text="Number of new jobs.")
    updated = Whole(help_text="Number of changed jobs.")
    unchanged = Whole(help_text="Number of jobs that already existed unchanged.")
    failed = Whole(help_text="Number of jobs that were not saved because of `errors`.")
    items = ImportedItemSerializer(many=True, help_text="Result of each job, in the order of the file.")
