"""Environments and signing secrets on the wire."""

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.signing import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from scheduler_project.api.fields import Instant, Text, Whole
from scheduler_project.api.strict import StrictSerializer


class EnvironmentSerializer(serializers.Serializer):
    """A named place that jobs run in."""

    id = serializers.UUIDField()
    slug = Text()
    name = Text()
    created_at = Instant()


class SigningSecretSerializer(serializers.Serializer):
    """What requests are signed with; the secret itself is shown once, by the rotation that makes it."""

    id = serializers.UUIDField()
    prefix = Text(help_text="How the secret begins.")
    created_at = Instant()
    retires_at = Instant(allow_null=True, help_text="When it stops signing; null for the newest.")


class RotationSerializer(StrictSerializer):
    """How to rotate. An empty body takes the default."""

    overlap_seconds = Whole(
        default=DEFAULT_OVERLAP_SECONDS,
        min_value=0,
        max_value=MAX_OVERLAP_SECONDS,
        help_text="How long the secret before this one signs on beside it; 0 after a leak.",
    )


_RETIRING = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "prefix": "whsec_s5Kq0d",
    "created_at": "2026-03-01T09:30:00.000Z",
    "retires_at": "2026-03-16T02:00:00.000Z",
}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A rotation",
            value={
                "id": "0197a1b2-03d4-7e5f-8a6b-7c8d9e0f1a2b",
                "prefix": "whsec_C2FVsB",
                "created_at": "2026-03-15T02:00:00.000Z",
                "retires_at": None,
                "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "previous": _RETIRING,
            },
            response_only=True,
        )
    ]
)
class RotatedSecretSerializer(SigningSecretSerializer):
    """The new secret, readable this once."""

    secret = Text(help_text="`whsec_` and base64. Keep it: it is not shown again.")
    previous = SigningSecretSerializer(allow_null=True, help_text="What signs on beside it; null: nothing does.")
