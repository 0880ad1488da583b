"""Signing secrets."""

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
    """A secret that signs requests. It is shown once, when a rotation creates it."""

    id = serializers.UUIDField(help_text="Id of the signing secret.")
    prefix = Text(help_text="The first characters of the secret.")
    created_at = Instant(help_text="When the secret was created.")
    retires_at = Instant(allow_null=True, help_text="When the secret stops signing; null for the newest.")


class RotationSerializer(StrictSerializer):
    """Options of a rotation. The body may be empty."""

    overlap_seconds = Whole(
        default=DEFAULT_OVERLAP_SECONDS,
        min_value=0,
        max_value=MAX_OVERLAP_SECONDS,
        help_text="Seconds during which the previous secret also signs. Use 0 if it leaked.",
    )


_PREVIOUS_EXAMPLE = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "prefix": "whsec_s5Kq0d",
    "created_at": "2026-03-01T09:30:00.000Z",
    "retires_at": "2026-03-16T02:00:00.000Z",
}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Rotation",
            value={
                "id": "0197a1b2-03d4-7e5f-8a6b-7c8d9e0f1a2b",
                "prefix": "whsec_C2FVsB",
                "created_at": "2026-03-15T02:00:00.000Z",
                "retires_at": None,
                "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "previous": _PREVIOUS_EXAMPLE,
            },
            response_only=True,
        )
    ]
)
class RotatedSecretSerializer(SigningSecretSerializer):
    """The new secret, in this response only."""

    secret = Text(help_text="The secret: `whsec_` and base64. Store it: it is not shown again.")
    previous = SigningSecretSerializer(allow_null=True, help_text="The previous secret, if it also signs; else null.")


@extend_schema_view(
    list=extend_schema(
        operation_id="signing_secrets_list",
        summary="List active signing secrets",
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
        summary="Rotate the signing secret",
        request=RotationSerializer,
        responses={201: RotatedSecretSerializer},
    )
    def rotate(self, request: Request) -> Response:
        overlap_seconds = self.read_body(request, RotationSerializer)["overlap_seconds"]
        rotated = rotate_signing_secret(
            workspace=self.access.workspace, overlap_seconds=overlap_seconds, actor=self.access.actor, now=self.now
        )
        representation = {
            **SigningSecretSerializer(rotated.row).data,
            "secret": rotated.secret,
            "previous": SigningSecretSerializer(rotated.previous).data if rotated.previous else None,
        }
        return Response(representation, status=status.HTTP_201_CREATED, headers=self.location("signing-secrets"))
