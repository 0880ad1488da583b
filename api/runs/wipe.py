"""The route that empties a workspace."""

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


@extend_schema_serializer(examples=[OpenApiExample("Yes, this workspace", {"confirm": "acme"}, request_only=True)])
class WipeSerializer(StrictSerializer):
    """The confirmation of what can't be undone."""

    confirm = Text(max_length=100, help_text="The slug of the workspace, as `GET /settings/` tells it.")


class Wipe(ApiView):
    """A verb on the whole workspace, which no path names: generic views would look for an object."""

    permission_classes = (HasScope, WholeWorkspace)
    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN

    @extend_schema(
        operation_id="wipe",
        summary="Empty the workspace, for good",
        description="Its jobs, executions, runs and secrets are gone at once for every reader, and removed by the "
        "workers. What has not ended is canceled; a request in flight is aborted, and may have arrived. Members, keys, "
        "environments, retry policies, signing secrets, settings and the audit log stay. For owners only: a key has to "
        "be made by one in person, and bound to no environment.",
        request=WipeSerializer,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        confirm = self.read_body(request, WipeSerializer)["confirm"]
        wipe(workspace=self.access.workspace, confirm=confirm, actor=self.access.actor, now=self.now)
        return Response(status=status.HTTP_204_NO_CONTENT)
