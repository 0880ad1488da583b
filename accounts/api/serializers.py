"""Environments on the wire."""

from rest_framework import serializers

from scheduler_project.api.fields import Instant, Text


class EnvironmentSerializer(serializers.Serializer):
    """A named place that jobs run in."""

    id = serializers.UUIDField()
    slug = Text()
    name = Text()
    created_at = Instant()
