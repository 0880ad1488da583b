"""Signing secrets on the wire and their routes."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, SigningSecret
from accounts.signing import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS, rotate_signing_secret
from api.accounts.permissions import HasScope, WholeWorkspaceToChange
from api.base.views import ApiViewSet
from core.validation.fields import Instant, Text, Whole
from core.validation.strict import StrictSerializer


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


@extend_schema_view(
    list=extend_schema(
        operation_id="signing_secrets_list",
        summary="List the secrets that sign now",
        responses=SigningSecretSerializer(many=True),
    ),
)
class SigningSecretViewSet(ListModelMixin, ApiViewSet):
    permission_classes = (HasScope, WholeWorkspaceToChange)
    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    serializer_class = SigningSecretSerializer

    def get_queryset(self) -> Any:
        return SigningSecret.objects.filter(workspace=self.access.workspace).live(self.now).defer("value")

    @extend_schema(
        operation_id="signing_secrets_rotate",
        summary="Create the next signing secret",
        request=RotationSerializer,
        responses={201: RotatedSecretSerializer},
    )
    def rotate(self, request: Request) -> Response:
        overlap_seconds = self.read_body(request, RotationSerializer)["overlap_seconds"]
        rotated = rotate_signing_secret(
            workspace=self.access.workspace, overlap_seconds=overlap_seconds, actor=self.access.actor, now=self.now
        )
        shown = {
            **SigningSecretSerializer(rotated.row).data,
            "secret": rotated.secret,
            "previous": SigningSecretSerializer(rotated.previous).data if rotated.previous else None,
        }
        return Response(shown, status=status.HTTP_201_CREATED, headers=self.location("signing-secrets"))
