"""Save and delete retry policies, and resolve them for jobs.

A job's version keeps the policy's rules as of its creation, so a change of the policy creates the next version of each
live job that uses it, and past attempts stay explained.

Locks: the job first, then the policy. A job that starts to use a policy waits for a change in progress, and a change
waits for a save of a job that uses the policy already, so neither misses the other.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import audit
from accounts.actors import Actor
from accounts.models import Workspace
from core.differences import difference
from jobs.definition.calls import is_workflow, policies_of, with_calls
from jobs.definition.reading import UNREADABLE
from jobs.errors import RetryPolicyInUseError, RetryPolicySlugTakenError, UnknownRetryPolicyError
from jobs.models import Job, JobVersion, RetryPolicy
from jobs.services.audit import policy_facts
from jobs.slugs import RETRY_POLICY_SLUGS

#: The fields of a job's `retry` that a policy replaces.
RULES = (
    "max_attempts", "backoff", "delay_ms", "max_delay_ms", "delays_ms", "jitter", "on_statuses", "except_statuses",
    "on_timeout", "on_connection_error", "on_assertion", "on_worker_lost", "honor_retry_after",
)  # fmt: skip
_CHUNK = 500


def resolved(retry: dict[str, Any], policy: RetryPolicy) -> dict[str, Any]:
    """Return a job's `retry` with the slug and rules of this policy."""
    return {**retry, "policy": policy.slug, **{field: getattr(policy, field) for field in RULES}}


def with_rules(config: dict[str, Any], policies: Mapping[str, RetryPolicy]) -> dict[str, Any]:
    """Return a definition with the rules of these policies, by the slugs by which its calls name them."""

    def change(call: dict[str, Any]) -> dict[str, Any]:
        policy = policies.get(call["retry"]["policy"])
        return call if policy is None else {**call, "retry": resolved(call["retry"], policy)}

    return with_calls(config, change)


def policy_columns(config: Mapping[str, Any], policies: Mapping[str, RetryPolicy]) -> dict[str, Any]:
    """Return the columns of a job by which its policies find it. `policies` holds those that `config` names."""
    used = [policies[slug] for slug in sorted(policies_of(config))]
    if is_workflow(config):
        return {"retry_policy": None, "step_policies": [policy.pk for policy in used]}
    return {"retry_policy": used[0] if used else None, "step_policies": []}


def find_policy(workspace: Workspace, slug: str) -> RetryPolicy:
    """Raises UnknownRetryPolicyError."""
    policy = RetryPolicy.objects.filter(workspace=workspace, slug=slug).first()
    if policy is None:
        raise UnknownRetryPolicyError(slug)
    return policy


def adopted_policies(job: Job | None, *, workspace: Workspace, config: Mapping[str, Any]) -> dict[str, RetryPolicy]:
    """Return by slug the policies of a job's new definition, in the caller's transaction, which locked the job.

    `job` is None for a new one. Locks the policies that it did not use before, so that they are neither changed nor
    deleted before the job is saved. Raises UnknownRetryPolicyError.
    """
    used = {job.retry_policy_id, *job.step_policies} if job is not None else set()
    return {slug: _adopted(slug, workspace, used) for slug in sorted(policies_of(config))}


def _adopted(slug: str, workspace: Workspace, used: set[Any]) -> RetryPolicy:
    policy = find_policy(workspace, slug)
    if policy.pk in used:
        return policy
    # Read again by slug: it may have been changed, renamed or deleted while this waited for the lock.
    locked = RetryPolicy.objects.select_for_update(no_key=True).filter(workspace=workspace, slug=slug).first()
    if locked is None:
        raise UnknownRetryPolicyError(slug)
    return locked


@transaction.atomic
def save_policy(
    *,
    workspace: Workspace,
    policy: RetryPolicy | None,
    slug: str | None,
    name: str,
    rules: dict[str, Any],
    actor: Actor,
    now: datetime.datetime,
) -> RetryPolicy:
    """Create a policy (`policy` is None) or change it. `rules` are all of RULES, validated.

    A change creates a version of each live job that uses the policy. Raises RetryPolicySlugTakenError.
    """
    slug = slug or (policy.slug if policy else RETRY_POLICY_SLUGS.free(name, workspace.retry_policies))
    if policy is None:
        created = RetryPolicy(workspace=workspace, slug=slug, name=name, created_at=now, updated_at=now, **rules)
        _write(created, force_insert=True)
        changes = difference({}, policy_facts(created, RULES))
        audit.record("retry_policy.created", created, actor=actor, now=now, changes=changes)
        return created
    locked = RetryPolicy.objects.select_for_update(no_key=True).get(pk=policy.pk)
    slug_before = locked.slug
    rules_before, facts_before = resolved({}, locked), policy_facts(locked, RULES)
    for field, value in {"slug": slug, "name": name, "updated_at": now, **rules}.items():
        setattr(locked, field, value)
    _write(locked, update_fields=["slug", "name", "updated_at", *RULES])
    if resolved({}, locked) != rules_before:
        _add_versions(locked, slug_before, actor=actor, now=now)
    if changes := difference(facts_before, policy_facts(locked, RULES)):
        audit.record("retry_policy.updated", locked, actor=actor, now=now, changes=changes)
    return locked


def delete_policy(*, policy: RetryPolicy, actor: Actor, now: datetime.datetime) -> None:
    """Delete a policy. Raises RetryPolicyInUseError while live jobs use it."""
    with transaction.atomic():
        RetryPolicy.objects.select_for_update().filter(pk=policy.pk).first()
        jobs = list(jobs_with(policy).order_by("slug").values_list("slug", flat=True))
        if jobs:
            raise RetryPolicyInUseError(policy.slug, jobs)
        deleted, _ = RetryPolicy.objects.filter(pk=policy.pk).delete()
        if deleted:
            audit.record("retry_policy.deleted", policy, actor=actor, now=now)


def jobs_with(policy: RetryPolicy) -> Any:
    """Return the live jobs that use a policy, in a call of their own or in a step."""
    uses = Q(retry_policy=policy) | Q(step_policies__contains=[policy.pk])
    return Job.objects.live().filter(uses, workspace=policy.workspace_id)


def _write(policy: RetryPolicy, **options: Any) -> None:
    try:
        with transaction.atomic():
            policy.save(**options)
    except IntegrityError as error:
        raise RetryPolicySlugTakenError(policy.slug) from error


def _add_versions(policy: RetryPolicy, slug_before: str, *, actor: Actor, now: datetime.datetime) -> None:
    """Add the next version of each live job that uses this policy, with the policy's new rules."""
    using = jobs_with(policy).order_by("pk")
    ids = list(using.select_for_update(no_key=True).values_list("pk", flat=True))
    for start in range(0, len(ids), _CHUNK):
        jobs = Job.objects.filter(pk__in=ids[start : start + _CHUNK]).select_related("current_version")
        changed = []
        for job in jobs:
            last = job.current_version
            assert last is not None
            if UNREADABLE in last.config:
                continue  # This release doesn't know its shape, and would write a different definition.
            config = with_rules(last.config, {slug_before: policy})
            if config != last.config:
                job.current_version = JobVersion(
                    job=job, number=last.number + 1, config=config, created_at=now, created_by=actor.user
                )
                job.updated_at = now
                changed.append(job)
        JobVersion.objects.bulk_create([job.current_version for job in changed if job.current_version])
        Job.objects.bulk_update(changed, ["current_version", "updated_at"])
