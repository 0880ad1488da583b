"""How a version of a job is shown."""

from typing import Any

from rest_framework import serializers

from jobs.api.shown import shown_definition
from jobs.models import JobVersion
from scheduler_project.api.fields import Instant, Text, Whole


class VersionSerializer(serializers.Serializer):
    """A job's definition as it was from one change to the next."""

    number = Whole()
    definition = serializers.SerializerMethodField(help_text="Spelled as in the job object.")
    created_at = Instant()
    created_by = Text(source="created_by.username", allow_null=True, default=None, help_text="Null: an API key.")

    def get_definition(self, version: JobVersion) -> dict[str, Any]:
        return shown_definition(version.config)
