"""Routes of accounts."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import EnvironmentSerializer
from accounts.models import Environment, Scope
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
