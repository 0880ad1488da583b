"""Dispatching webhooks: several workers at once, and what is kept of what came."""

import datetime
import threading
import uuid
from typing import Any

import pytest
from django.db import connection, connections

from jobs.models import JobEnvironment
from runs.models import Execution, WebhookDelivery
from runs.states import WebhookReason, WebhookStatus
from runs.webhooks import prune
from runs.webhooks.dispatch import dispatch
from runs.webhooks.prune import prune_deliveries
from tests.support.jobs import MakeJob

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


def received(job_environment: JobEnvironment, **columns: Any) -> WebhookDelivery:
    values: dict[str, Any] = {
        "status": WebhookStatus.RECEIVED,
        "payload": {"input": None, "headers": {}, "query": {}},
        **columns,
    }
    return WebhookDelivery.objects.create(
        workspace_id=job_environment.workspace_id,
        job_id=job_environment.job_id,
        environment_id=job_environment.environment_id,
        job_environment=job_environment,
        received_at=NOW,
        body_bytes=0,
        **values,
    )


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_make_one_execution_of_all_deliveries_with_one_key(make_job: MakeJob) -> None:
    job_environment = make_job()
    for number in range(20):
        received(job_environment, dedup_key=uuid.UUID(int=number % 5).hex)

    def work() -> None:
        while dispatch(NOW, limit=3):
            pass
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    while dispatch(NOW):
        pass
    statuses = list(WebhookDelivery.objects.values_list("status", flat=True))
    assert sorted(statuses) == ["accepted"] * 5 + ["duplicate"] * 15
    assert Execution.objects.count() == 5


@pytest.mark.django_db
def test_the_newest_deliveries_of_each_job_are_kept(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "KEEP_LAST", 2)
    busy, quiet = make_job(slug="busy"), make_job(slug="quiet")
    refused = {"status": WebhookStatus.REFUSED, "reason": WebhookReason.DISABLED, "payload": None}
    rows = [received(busy, **refused) for _ in range(5)]
    received(quiet, **refused)
    assert prune_deliveries([busy.job_id, quiet.job_id], limit=2) == 2
    assert prune_deliveries([busy.job_id, quiet.job_id], limit=2) == 1
    assert list(WebhookDelivery.objects.filter(job=busy.job_id).order_by("pk")) == rows[3:]
    assert WebhookDelivery.objects.filter(job=quiet.job_id).count() == 1


@pytest.mark.django_db
def test_looking_for_deliveries_reads_no_more_than_what_waits(make_job: MakeJob) -> None:
    job_environment = make_job()
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            workspace_id=job_environment.workspace_id,
            job_id=job_environment.job_id,
            received_at=NOW,
            status=WebhookStatus.REFUSED,
            reason=WebhookReason.DISABLED,
            body_bytes=0,
        )
        for _ in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE runs_webhookdelivery")
    plan = WebhookDelivery.objects.received().order_by("pk")[:100].explain()
    assert "webhook_delivery_received" in plan
