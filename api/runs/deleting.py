"""A job's own route, where deleting it reaches its executions too."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.jobs import views
from core.slugs import is_uuid
from core.validation.strict import Query
from jobs.models import Job
from runs.executions.delete import delete_with_executions, purge


class DeleteQuery(Query):
    purge = serializers.BooleanField(default=False, help_text="Remove its history and versions too, for good.")


class JobDetailWithDeletion(views.JobDetail):
    """Show, replace, change and delete a job."""

    def initial(self, request: Request, *args: Any, **path: Any) -> None:
        self.query_class = DeleteQuery if request.method == "DELETE" else Query
        super().initial(request, *args, **path)

    @extend_schema(
        operation_id="jobs_delete",
        summary="Delete a job; its history stays unless it is purged",
        description="What has not ended is canceled; a request in flight is aborted, and may have arrived. A job that "
        "is deleted already can be purged by its UUID. What is purged is gone at once for every reader.",
        parameters=[DeleteQuery],
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, job: str) -> Response:  # noqa: ARG002
        wanted = self.query["purge"]
        found = (self._deleted(job) if wanted else None) or self.job(job)
        self.refuse_foreign_change(found)
        (purge if wanted else delete_with_executions)(job=found, actor=self.access.actor, now=self.now)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _deleted(self, reference: str) -> Job | None:
        """The deleted job of this UUID; only a caller that reaches all environments has it."""
        if not is_uuid(reference) or self.access.environment_ids is not None:
            return None
        gone = Job.objects.of(self.access.workspace).kept().filter(deleted_at__isnull=False)
        found: Job | None = gone.filter(pk=reference).first()
        return found
