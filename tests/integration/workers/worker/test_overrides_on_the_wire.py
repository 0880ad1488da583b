"""A worker's requests, and a dead worker's runs, in an environment that overrides the job's request."""

import datetime
import random
from collections.abc import Iterator

import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Environment
from jobs.definition.overrides import with_overrides
from jobs.models import JobEnvironment, JobVersion
from runs.attempts.reaping import reap_expired
from runs.executions import services
from runs.models import Execution, Run
from tests.support.jobs import MakeJob
from workers.connections import Link
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed

pytestmark = pytest.mark.django_db(transaction=True)
STAGING_URL = "http://staging.test/{{environment}}"


@pytest.fixture
def link() -> Iterator[Link]:
    link = Link("test")
    yield link
    link.close()


@pytest.fixture
def places(make_job: MakeJob) -> dict[str, JobEnvironment]:
    """A job in production, and in staging with another request and fewer attempts."""
    production = make_job()
    staging = Environment.objects.create(workspace=production.workspace, slug="staging", name="Staging")
    row = JobEnvironment.objects.create(workspace=production.workspace, job=production.job, environment=staging)
    version = JobVersion.objects.get(job=production.job)
    sparse = {"request": {"url": STAGING_URL, "timeout_seconds": 7}, "retry": {"max_attempts": 1}}
    version.config = with_overrides(version.config, {str(staging.pk): sparse})
    version.save(update_fields=["config"])
    return {
        row.environment.slug: row
        for row in JobEnvironment.objects.select_related("job__current_version", "environment").filter(
            pk__in=[production.pk, row.pk]
        )
    }


def claimed_in(places: dict[str, JobEnvironment], link: Link) -> dict[str, Claimed]:
    """One execution in each environment, claimed by one worker in one batch."""
    made = {
        str(services.run_now(job_environment=row, now=timezone.now(), actor=SYSTEM).pk): slug
        for slug, row in places.items()
    }
    claimer = Claimer(owner="first", lease_seconds=60, user_agent="Hourhand/test")
    return {made[one.attempt.execution_id]: one for one in claimer.claim(link, list(made), limit=2)}


def test_each_environment_gets_its_own_request(places: dict[str, JobEnvironment], link: Link) -> None:
    claimed = claimed_in(places, link)
    assert claimed["staging"].request.url == "http://staging.test/staging"
    assert claimed["staging"].request.timeout_seconds == 7
    assert claimed["staging"].definition.retry.max_attempts == 1
    common = places["production"].job.current_version.config["request"]
    assert claimed["production"].request.url == common["url"]
    assert claimed["production"].definition.retry.max_attempts != 1


def test_an_edited_replay_sends_the_edited_request(places: dict[str, JobEnvironment], link: Link) -> None:
    now = timezone.now()
    old = services.run_now(job_environment=places["staging"], now=now, actor=SYSTEM)
    services.cancel(workspace=old.workspace, execution_id=old.pk, now=now, actor=SYSTEM)
    edited = {**places["staging"].job.current_version.config["request"], "url": "http://edited.test/"}
    made = services.replay(execution=old, now=timezone.now(), original_config=True, request=edited, actor=SYSTEM)
    again = services.replay(execution=made, now=timezone.now(), original_config=True, actor=SYSTEM)
    assert made.job_version.edited
    assert again.job_version == made.job_version
    claimer = Claimer(owner="second", lease_seconds=60, user_agent="Hourhand/test")
    claimed = claimer.claim(link, [str(made.pk), str(again.pk)], limit=2)
    assert [one.request.url for one in claimed] == ["http://edited.test/"] * 2
    assert [one.definition.retry.max_attempts for one in claimed] == [1, 1]


def test_a_lost_worker_is_retried_by_its_environments_policy(places: dict[str, JobEnvironment], link: Link) -> None:
    claimed_in(places, link)
    Execution.objects.update(lease_expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert reap_expired(user_agent="test", rng=random.Random(1)) == 2
    found = {one.environment.slug: one.status for one in Execution.objects.select_related("environment")}
    assert found == {"production": "pending", "staging": "failed"}
    assert Run.objects.get(environment__slug="staging").request_url.startswith("http://staging.test/")
