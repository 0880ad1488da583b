"""Wiping a workspace."""

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.accounts.permissions import HasScope, WholeWorkspace
from api.base.views import ApiView
from core.validation.fields import Text
from core.validation.strict import StrictSerializer
from runs.retention.wipe import wipe


@extend_schema_serializer(examples=[OpenApiExample("Confirm", {"confirm": "acme"}, request_only=True)])
class WipeSerializer(StrictSerializer):
    """Confirmation of the wipe, which can't be undone."""

    confirm = Text(max_length=100, help_text="The slug of the workspace, as in `GET /settings/`.")


class Wipe(ApiView):
    """A verb on the whole workspace: generic views would look for an object in the path."""

    permission_classes = (HasScope, WholeWorkspace)
    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN

    @extend_schema(
        operation_id="wipe",
        summary="Wipe the workspace permanently",
        description="Its jobs, executions, runs and secrets disappear immediately and are removed in the background. "
        "Unfinished executions are canceled; a request in flight is aborted, but may have been received. Members, "
        "keys, environments, retry policies, signing secrets, settings and the audit log are kept. Only for owners, "
        "and for keys that an owner created in the dashboard or API session and that are not bound to environments "
        "(else 403).",
        request=WipeSerializer,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        confirm = self.read_body(request, WipeSerializer)["confirm"]
        wipe(workspace=self.access.workspace, confirm=confirm, actor=self.access.actor, now=self.now)
        return Response(status=status.HTTP_204_NO_CONTENT)
