"""Routes of jobs."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.mixins import DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.models import Scope
from api.base.views import MAX_DEFINITION_BYTES, ApiViewSet, CreateMixin
from api.jobs.filters import JobDeleteQuery, JobListQuery, filtered, sorted_by
from api.jobs.lookups import (
    job_environments_named,
    live_job,
    live_or_deleted_job,
    reachable_jobs,
    refuse_foreign_change,
)
from api.jobs.pausing import PauseSerializer, ResumeSerializer
from api.jobs.serializers import JobSerializer, save_validated
from api.jobs.webhooks import WebhookRotationSerializer
from core.slugs import is_uuid
from jobs.errors import NotManagedByError
from jobs.models import Job
from jobs.services.save import pause, resume
from jobs.services.webhooks import rotate_webhook
from jobs.slugs import JOB_SLUGS
from runs.executions.delete import delete_with_executions, purge


@extend_schema_view(
    list=extend_schema(operation_id="jobs_list", summary="List jobs", responses=JobSerializer(many=True)),
    create=extend_schema(
        operation_id="jobs_create", summary="Create a job", request=JobSerializer, responses={201: JobSerializer}
    ),
    retrieve=extend_schema(
        operation_id="jobs_get",
        summary="Get a job",
        description="Deleted jobs can be read by UUID until they are purged; their slug may belong to another job.",
    ),
    update=extend_schema(
        operation_id="jobs_put",
        summary="Replace a job, or create it under this slug",
        description="Idempotent: the same body again creates no new version. Omitted fields get their defaults. If "
        "`environments` is given, the job is disabled in those it omits; if `environments` is omitted, they are "
        "unchanged.",
        request=JobSerializer,
        responses={200: JobSerializer, 201: JobSerializer},
    ),
    partial_update=extend_schema(
        operation_id="jobs_patch",
        summary="Change some fields of a job",
        description="Omitted fields keep their values. `request`, `success`, `retry`, `workflow` and `retention` "
        "are merged field by field; headers and lists, such as the steps, are replaced.",
        request=JobSerializer,
    ),
    destroy=extend_schema(
        operation_id="jobs_delete",
        summary="Delete a job",
        description="Unfinished executions are canceled; a request in flight is aborted, but may have been received. "
        "The history stays readable unless `purge` is true, which hides it immediately and removes it in the "
        "background. A deleted job can be purged by its UUID.",
        request=None,
        responses={204: None},
    ),
)
class JobViewSet(ListModelMixin, CreateMixin, RetrieveModelMixin, DestroyModelMixin, ApiViewSet):
    """The jobs within reach."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    query_classes = {"list": JobListQuery, "destroy": JobDeleteQuery}
    serializer_class = JobSerializer
    max_body_bytes = MAX_DEFINITION_BYTES
    needs_quota = frozenset({"create", "update", "partial_update"})
    has_slug = True

    def get_queryset(self) -> Any:
        return reachable_jobs(self.access)

    def filter_queryset(self, queryset: Any) -> Any:
        bound = self.access.environment_ids
        jobs = filtered(queryset, self.query, within=bound)
        jobs, self.keyset = sorted_by(jobs, self.query["sort"], within=bound)
        return jobs

    def get_object(self) -> Job:
        reference = self.kwargs["job"]
        # Only a caller that reaches all environments can purge a deleted job.
        purges = self.action == "destroy" and self.query["purge"] and self.access.environment_ids is None
        if self.action == "retrieve" or purges:
            return live_or_deleted_job(self.access, reference)
        return live_job(self.access, reference, locked=self.action in {"update", "partial_update"})

    def perform_create(self, serializer: BaseSerializer[Job]) -> None:
        assert isinstance(serializer, JobSerializer)
        serializer.instance = self._fresh(save_validated(serializer, actor=self.access.actor))

    def update(self, request: Request, job: str) -> Response:
        with transaction.atomic():
            try:
                existing = self.get_object()
            except NotFound:
                self._refuse_as_slug(job)
                existing = None
            serializer = self._valid(request, existing)
            self._refuse_other_slug(serializer, job)
            saved = self._saved(serializer, slug=job)
        if existing is not None:
            return self._shown(saved)
        return self._shown(saved, status=status.HTTP_201_CREATED, headers=self.location(f"jobs/{saved.slug}"))

    def partial_update(self, request: Request, **_path: Any) -> Response:
        with transaction.atomic():
            saved = self._saved(self._valid(request, self.get_object(), partial=True))
        return self._shown(saved)

    def perform_destroy(self, instance: Job) -> None:
        refuse_foreign_change(self.access, instance)
        owner = self.query.get("managed_by")
        if owner is not None and instance.managed_by != owner:
            raise NotManagedByError(instance.slug, owner)
        delete = purge if self.query["purge"] else delete_with_executions
        delete(job=instance, actor=self.access.actor, now=self.now)

    @extend_schema(
        operation_id="jobs_pause",
        summary="Pause a job",
        description="Occurrences are skipped during the pause. Executions in progress continue.",
        request=PauseSerializer,
        responses=JobSerializer,
    )
    def pause(self, request: Request, **_path: Any) -> Response:
        body = self.read_body(request, PauseSerializer)
        job = self.get_object()
        pause(
            job_environments=job_environments_named(job, self.access, body.get("environment")),
            until=body["until"],
            note=body["note"],
            actor=self.access.actor,
            now=self.now,
        )
        return self._shown(job)

    @extend_schema(
        operation_id="jobs_resume",
        summary="Resume a paused job",
        description="The next occurrence is the next one of the schedule. Skipped occurrences are not made up for.",
        request=ResumeSerializer,
        responses=JobSerializer,
    )
    def resume(self, request: Request, **_path: Any) -> Response:
        body = self.read_body(request, ResumeSerializer)
        job = self.get_object()
        named = job_environments_named(job, self.access, body.get("environment"))
        paused = [job_environment for job_environment in named if job_environment.paused_at is not None]
        resume(job_environments=paused, actor=self.access.actor, now=self.now)
        return self._shown(job)

    @extend_schema(
        operation_id="jobs_webhook_rotate",
        summary="Give a job's webhook another URL",
        description="The present URL works for `overlap_seconds` more; older ones stop at once.",
        request=WebhookRotationSerializer,
        responses=JobSerializer,
    )
    def rotate_webhook(self, request: Request, **_path: Any) -> Response:
        body = self.read_body(request, WebhookRotationSerializer)
        job = self.get_object()
        refuse_foreign_change(self.access, job)
        rotate_webhook(job=job, overlap_seconds=body["overlap_seconds"], actor=self.access.actor, now=self.now)
        return self._shown(job)

    def _valid(self, request: Request, job: Job | None, *, partial: bool = False) -> JobSerializer:
        serializer = JobSerializer(job, data=request.data, partial=partial, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return serializer

    def _saved(self, serializer: JobSerializer, slug: str | None = None) -> Job:
        existing = serializer.instance
        if isinstance(existing, Job) and serializer.changes_definition:
            refuse_foreign_change(self.access, existing)
        return save_validated(serializer, actor=self.access.actor, slug=None if existing else slug)

    def _fresh(self, job: Job) -> Job:
        return reachable_jobs(self.access).get(pk=job.pk)

    def _shown(self, job: Job, **response: Any) -> Response:
        return Response(self.get_serializer(self._fresh(job)).data, **response)

    def _refuse_as_slug(self, reference: str) -> None:
        if is_uuid(reference):
            raise NotFound(f"There is no job {reference}.")
        if not JOB_SLUGS.accepts(reference):
            detail = ErrorDetail(
                "The path must be a slug: 1 to 100 characters of a-z, 0-9 and -, and not a reserved word.", "invalid"
            )
            raise ValidationError({"slug": [detail]})

    def _refuse_other_slug(self, serializer: JobSerializer, reference: str) -> None:
        slug = serializer.validated_data.get("slug", reference)
        if slug != reference and not is_uuid(reference):
            raise ValidationError(
                {"slug": [ErrorDetail("Must equal the slug in the path. Use PATCH to rename a job.", "invalid")]}
            )
