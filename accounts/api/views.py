"""Routes of accounts."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import (
    EnvironmentSerializer,
    RotatedSecretSerializer,
    RotationSerializer,
    SigningSecretSerializer,
)
from accounts.models import Environment, Scope, SigningSecret
from accounts.signing import rotate_signing_secret
from scheduler_project.api.strict import ListQuery
from scheduler_project.api.views import ApiView


class EnvironmentList(ApiView):
    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.ADMIN
    query_class = ListQuery

    @extend_schema(
        operation_id="environments_list", summary="List environments", responses=EnvironmentSerializer(many=True)
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        environments = Environment.objects.filter(workspace=self.access.workspace)
        if self.access.environment_ids is not None:
            environments = environments.filter(pk__in=self.access.environment_ids)
        return self.page(environments, EnvironmentSerializer)


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
        summary="Make the next signing secret",
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
            workspace=self.access.workspace, overlap_seconds=wanted["overlap_seconds"], now=self.now
        )
        shown = SigningSecretSerializer(rotated.row).data
        previous = SigningSecretSerializer(rotated.previous).data if rotated.previous else None
        return Response({**shown, "secret": rotated.secret, "previous": previous}, status=status.HTTP_201_CREATED)
