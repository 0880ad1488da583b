"""Signing secrets on the wire and their routes."""

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, SigningSecret
from accounts.signing import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS, rotate_signing_secret
from api.base.views import ApiView
from core.validation.fields import Instant, Text, Whole
from core.validation.strict import ListQuery, StrictSerializer


class SigningSecretSerializer(serializers.Serializer):
    """What requests are signed with; the secret itself is shown once, by the rotation that makes it."""

    id = serializers.UUIDField(help_text="Of the row that keeps it; no request needs it.")
    prefix = Text(help_text="How the secret begins.")
    created_at = Instant(help_text="When the rotation made it.")
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


class SigningSecretList(ApiView):
    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    query_class = ListQuery

    @extend_schema(
        operation_id="signing_secrets_list",
        summary="List the secrets that sign now",
        responses=SigningSecretSerializer(many=True),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        secrets = SigningSecret.objects.filter(workspace=self.access.workspace).live(self.now)
        return self.page(secrets.defer("value"), SigningSecretSerializer)


class SigningSecretRotation(ApiView):
    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN

    @extend_schema(
        operation_id="signing_secrets_rotate",
        summary="Create the next signing secret",
        request=RotationSerializer,
        responses={201: RotatedSecretSerializer},
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        wanted = self.body(RotationSerializer)
        if self.access.environment_ids is not None:
            raise PermissionDenied(
                "This API key is bound to environments, and the secret signs in all of them.", code="environment_bound"
            )
        rotated = rotate_signing_secret(
            workspace=self.access.workspace,
            overlap_seconds=wanted["overlap_seconds"],
            actor=self.access.actor,
            now=self.now,
        )
        shown = SigningSecretSerializer(rotated.row).data
        previous = SigningSecretSerializer(rotated.previous).data if rotated.previous else None
        return self.made({**shown, "secret": rotated.secret, "previous": previous}, "signing-secrets")
