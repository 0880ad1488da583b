"""Routes of jobs: validate, call one verb, show the job."""

import uuid
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ErrorDetail, NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.base.pagination import Keyset
from api.base.views import DEFINITION_BYTES, ApiView
from api.jobs.actions import NothingSerializer, PauseSerializer, ResumeSerializer, meant_states
from api.jobs.filters import JobListQuery, deleted, filtered, find, reachable, sorted_by
from api.jobs.serializers import JobSerializer, save_validated
from api.jobs.versions import VersionDiffSerializer, VersionSerializer, restore_version, spelled
from core.differences import differing
from core.slugs import is_uuid
from core.validation.strict import ListQuery
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.services.save import pause, resume
from jobs.slugs import is_slug


class JobView(ApiView):
    """A view of jobs or of one job."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    serializer_class = JobSerializer
    max_body_bytes = DEFINITION_BYTES

    def job(self, reference: str, *, locked: bool = False) -> Job:
        """The job that the path names. Raises NotFound for any other than a live one within reach."""
        found = self.find(reference, locked=locked)
        if found is None:
            raise NotFound(f"There is no job {reference}.")
        return found

    def past_job(self, reference: str) -> Job:
        """The job that the path names, or the deleted one of that UUID. Raises NotFound."""
        found = self.find(reference) or (deleted(self.access, reference) if is_uuid(reference) else None)
        if found is None:
            raise NotFound(f"There is no job {reference}.")
        return found

    def find(self, reference: str, *, locked: bool = False) -> Job | None:
        jobs = reachable(self.access)
        return find(jobs.select_for_update(of=("self",)) if locked else jobs, reference)

    def validated(self, *, job: Job | None, partial: bool = False) -> JobSerializer:
        """The body as a valid job object."""
        context = {"workspace": self.access.workspace, "access": self.access, "now": self.now}
        serializer = JobSerializer(job, data=self.request.data, partial=partial, context=context)
        serializer.is_valid(raise_exception=True)
        return serializer

    def shown(self, job: Job, *, code: int = status.HTTP_200_OK) -> Response:
        fresh = reachable(self.access).get(pk=job.pk)
        shown = JobSerializer(fresh, context={"now": self.now}).data
        return self.made(shown, f"jobs/{fresh.slug}") if code == status.HTTP_201_CREATED else Response(shown)

    def refuse_foreign_change(self, job: Job) -> None:
        """A job has one definition for all its environments: who is bound to some can't change it for others."""
        bound = self.access.environment_ids
        if bound is None:
            return
        if JobEnvironment.objects.filter(job=job).exclude(environment_id__in=bound).exists():
            raise PermissionDenied(
                "This API key is bound to environments, and the job also has others.", code="environment_bound"
            )


class JobList(JobView):
    query_class = JobListQuery
    needs_quota = frozenset({"POST"})

    @extend_schema(operation_id="jobs_list", summary="List jobs", responses=JobSerializer(many=True))
    def get(self, request: Request) -> Response:  # noqa: ARG002
        jobs = filtered(reachable(self.access), self.query, within=self.access.environment_ids)
        jobs, self._keyset = sorted_by(jobs, self.query["sort"], within=self.access.environment_ids)
        return self.page(jobs, JobSerializer, now=self.now)

    def keyset(self) -> Keyset:
        return self._keyset

    @extend_schema(
        operation_id="jobs_create", summary="Create a job", request=JobSerializer, responses={201: JobSerializer}
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        serializer = self.validated(job=None)
        return self.shown(save_validated(serializer, actor=self.access.actor), code=status.HTTP_201_CREATED)


class JobDetail(JobView):
    """Show, replace and change a job. Deleting one reaches its executions, so that verb is in api/runs/deleting.py."""

    needs_quota = frozenset({"PUT", "PATCH"})

    @extend_schema(
        operation_id="jobs_get",
        summary="Get a job",
        description="A deleted one, too, by its UUID: its slug may be another job's by now. A purged one is gone.",
    )
    def get(self, request: Request, job: str) -> Response:  # noqa: ARG002
        return Response(JobSerializer(self.past_job(job), context={"now": self.now}).data)

    @extend_schema(
        operation_id="jobs_put",
        summary="Replace a job, or create it under this slug",
        description="Idempotent: the same body twice makes no new version. Fields left out get their defaults; "
        "`environments` left out keeps them, and given without one of them disables that one.",
        request=JobSerializer,
        responses={200: JobSerializer, 201: JobSerializer},
    )
    def put(self, request: Request, job: str) -> Response:  # noqa: ARG002
        with transaction.atomic():
            existing = self.find(job, locked=True)
            if existing is None:
                self._refuse_as_slug(job)
            serializer = self.validated(job=existing)
            self._refuse_other_slug(serializer, job)
            saved = self._save(serializer, existing, slug=job)
        return self.shown(saved, code=status.HTTP_200_OK if existing else status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="jobs_patch",
        summary="Change some fields of a job",
        description="`request`, `success`, `retry` and `retention` are merged field by field; headers and lists are "
        "replaced.",
        request=JobSerializer,
    )
    def patch(self, request: Request, job: str) -> Response:  # noqa: ARG002
        with transaction.atomic():
            existing = self.job(job, locked=True)
            saved = self._save(self.validated(job=existing, partial=True), existing)
        return self.shown(saved)

    def _save(self, serializer: JobSerializer, existing: Job | None, slug: str | None = None) -> Job:
        if existing is not None and serializer.changes_definition:
            self.refuse_foreign_change(existing)
        return save_validated(serializer, actor=self.access.actor, slug=None if existing else slug)

    def _refuse_as_slug(self, reference: str) -> None:
        if is_uuid(reference):
            raise NotFound(f"There is no job {reference}.")
        if not is_slug(reference):
            detail = ErrorDetail("The path names no slug: 1 to 100 of a-z, 0-9 and -, and no reserved word.", "invalid")
            raise ValidationError({"slug": [detail]})

    def _refuse_other_slug(self, serializer: JobSerializer, reference: str) -> None:
        slug = serializer.validated_data.get("slug", reference)
        if slug != reference and not is_uuid(reference):
            raise ValidationError({"slug": [ErrorDetail("Differs from the path; rename a job with PATCH.", "invalid")]})


class JobPause(JobView):
    @extend_schema(operation_id="jobs_pause", summary="Pause a job", request=PauseSerializer, responses=JobSerializer)
    def post(self, request: Request, job: str) -> Response:  # noqa: ARG002
        body: dict[str, Any] = self.body(PauseSerializer)
        found = self.job(job)
        states = meant_states(found, self.access, body.get("environment"))
        pause(
            job_environments=states,
            until=body["until"],
            note=body["note"],
            actor=self.access.actor,
            now=self.now,
        )
        return self.shown(found)


class JobResume(JobView):
    @extend_schema(
        operation_id="jobs_resume",
        summary="Resume a paused job",
        description="Never fires at once, and never catches up what was paused.",
        request=ResumeSerializer,
        responses=JobSerializer,
    )
    def post(self, request: Request, job: str) -> Response:  # noqa: ARG002
        body = self.body(ResumeSerializer)
        found = self.job(job)
        states = meant_states(found, self.access, body.get("environment"))
        paused = [state for state in states if state.paused_at is not None]
        resume(job_environments=paused, actor=self.access.actor, now=self.now)
        return self.shown(found)


class VersionView(JobView):
    serializer_class = VersionSerializer  # type: ignore[assignment]

    def versions(self, job: str) -> Any:
        return JobVersion.objects.numbered().filter(job=self.past_job(job)).select_related("created_by", "job")

    def version(self, job: str, number: int) -> JobVersion:
        found: JobVersion | None = self.versions(job).filter(number=number).first()
        if found is None:
            raise NotFound(f"The job has no version {number}.")
        return found

    @property
    def slugs(self) -> dict[uuid.UUID, str]:
        return {environment.pk: environment.slug for environment in self.access.environments()}


class VersionList(VersionView):
    query_class = ListQuery

    @extend_schema(
        operation_id="jobs_versions_list", summary="List a job's versions", responses=VersionSerializer(many=True)
    )
    def get(self, request: Request, job: str) -> Response:  # noqa: ARG002
        return self.page(self.versions(job), VersionSerializer, slugs=self.slugs)

    def keyset(self) -> Keyset:
        return Keyset(("number",), descending=True)


class VersionDetail(VersionView):
    @extend_schema(operation_id="jobs_versions_get", summary="Get one version of a job")
    def get(self, request: Request, job: str, number: int) -> Response:  # noqa: ARG002
        return Response(VersionSerializer(self.version(job, number), context={"slugs": self.slugs}).data)


class VersionDiff(VersionView):
    @extend_schema(
        operation_id="jobs_versions_diff",
        summary="Compare two versions of a job",
        responses=VersionDiffSerializer,
    )
    def get(self, request: Request, job: str, number: int, other: int) -> Response:  # noqa: ARG002
        slugs = self.slugs
        old, new = (spelled(self.version(job, one), slugs) for one in (number, other))
        changes = [{"field": path, "old": before, "new": after} for path, before, after in differing(old, new)]
        shown = {"from": number, "to": other, "changes": changes}
        return Response(VersionDiffSerializer(shown).data)


class VersionRestore(VersionView):
    needs_quota = frozenset({"POST"})

    @extend_schema(
        operation_id="jobs_versions_restore",
        summary="Restore a version",
        description="As a new version. Where the job is enabled or paused stays as it is, and nothing fires because of "
        "it. 409 where the version is not right any more, for instance because its retry policy is deleted.",
        request=NothingSerializer,
        responses=JobSerializer,
    )
    def post(self, request: Request, job: str, number: int) -> Response:  # noqa: ARG002
        self.body(NothingSerializer)
        with transaction.atomic():
            found = self.job(job, locked=True)
            self.refuse_foreign_change(found)
            context = {"workspace": self.access.workspace, "access": self.access, "now": self.now}
            version = self.version(job, number)
            saved = restore_version(version, job=found, context=context, actor=self.access.actor)
        return self.shown(saved)
