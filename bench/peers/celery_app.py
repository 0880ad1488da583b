"""One Celery task per call: `requests` and the Django ORM, a run and its execution written as the call goes along.

    celery -A bench.peers.celery_app worker --pool prefork|threads|gevent --concurrency N

`BENCH_KEEP_CONNECTIONS=1` keeps each thread's database connection between tasks, which Celery's Django integration
closes otherwise, and its HTTP session.
"""

import os

if os.environ.get("BENCH_POOL") == "gevent":
    from gevent import monkey

    monkey.patch_all()
    from psycogreen.gevent import patch_psycopg

    patch_psycopg()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")

import threading

import requests
from celery import Celery
from django.conf import settings
from django.utils import timezone

app = Celery("peer", set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(task_default_queue="peer", task_routes={}, task_queues=None, worker_prefetch_multiplier=16)
_KEEP = os.environ.get("BENCH_KEEP_CONNECTIONS") == "1"
_local = threading.local()
if _KEEP:
    from celery.fixups.django import DjangoWorkerFixup

    DjangoWorkerFixup.close_database = lambda *_, **__: None  # type: ignore[method-assign]
    settings.DATABASES["default"]["CONN_MAX_AGE"] = None


def _session() -> requests.Session:
    if not _KEEP:
        return requests.Session()
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    return _local.session


@app.task(name="peer.deliver", ignore_result=True)
def deliver(execution_id: str) -> None:
    from runs.models import Execution, Run

    execution = Execution.objects.select_related("job_version").get(pk=execution_id)
    call = execution.job_version.config["request"]
    started_at = timezone.now()
    Execution.objects.filter(pk=execution_id).update(
        status="running", attempts=1, started_at=started_at, lease_owner="peer", lease_expires_at=started_at
    )
    session = _session()
    response = session.request(
        call["method"], call["url"], headers=call["headers"], data=call["body"], timeout=call["timeout_seconds"]
    )
    finished_at = timezone.now()
    Run.objects.create(
        workspace_id=execution.workspace_id,
        job_id=execution.job_id,
        environment_id=execution.environment_id,
        job_version_id=execution.job_version_id,
        execution=execution,
        number=1,
        trigger=execution.trigger,
        status="succeeded" if response.ok else "failed",
        started_at=started_at,
        finished_at=finished_at,
        request_method=call["method"],
        request_url=call["url"],
        request_headers=dict(response.request.headers),
        request_body=call["body"],
        response_status=response.status_code,
        response_headers=dict(response.headers),
        response_body=response.text,
        body_bytes=len(response.content),
    )
    Execution.objects.filter(pk=execution_id).update(
        status="succeeded" if response.ok else "failed",
        finished_at=finished_at,
        lease_owner=None,
        lease_expires_at=None,
    )
    if not _KEEP:
        session.close()
